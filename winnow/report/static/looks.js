/* Small helpers: elements, numbers, and what a section's legend and density range hide. */
((winnow) => {
  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    if (text !== undefined) {
      made.textContent = text;
    }
    for (const [key, value] of Object.entries(attributes)) {
      made.setAttribute(key, value);
    }
    return made;
  }

  function number(value) {
    const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 2 : 4;
    return value.toLocaleString("en", { maximumFractionDigits: digits });
  }

  const states = new Map();

  /* What is chosen in an experiment: hidden arms and lines, and a range of densities or null. */
  function state(slug) {
    if (!states.has(slug)) {
      states.set(slug, { arms: new Set(), lines: new Set(), range: null });
    }
    return states.get(slug);
  }

  function shows(slug, entry) {
    const { arms, lines } = state(slug);
    return !arms.has(entry.arm) && !lines.has(entry.line);
  }

  function color(slug, entry) {
    return winnow.data.experiments[slug].arms[entry.arm]?.color ?? "var(--ink)";
  }

  winnow.tools = { element, number };
  winnow.looks = { state, shows, color };
})(window.winnow);
