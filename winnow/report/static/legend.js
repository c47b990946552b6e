/* One legend for all charts of an experiment: its buttons show and hide arms and lines. */
((winnow) => {
  function start(article) {
    const state = winnow.looks.state(article.dataset.slug);
    for (const button of article.querySelectorAll("button.toggle")) {
      const [hidden, name] =
        button.dataset.arm === undefined
          ? [state.lines, button.dataset.line]
          : [state.arms, button.dataset.arm];
      button.addEventListener("click", () => {
        const pressed = button.getAttribute("aria-pressed") === "true";
        button.setAttribute("aria-pressed", String(!pressed));
        if (pressed) {
          hidden.add(name);
        } else {
          hidden.delete(name);
        }
        winnow.charts.refresh(article);
        winnow.rounds.refresh(article);
      });
    }
  }

  winnow.legend = { start };
})(window.winnow);
