/* What a pointer over a point shows: mean, spread, interval, n, and the runs. */
((winnow) => {
  const SHOWN = 4;

  function lines(slug, datum) {
    const { number } = winnow.tools;
    const said = [datum.series];
    if (datum.y === undefined) {
      said.push(number(datum.value));
      return said;
    }
    said.push(`${number(datum.y)} at ${number(datum.x)}`);
    if (datum.n > 1) {
      said.push(`single runs ${number(datum.minimum)} to ${number(datum.maximum)}`);
    }
    said.push(
      datum.interval
        ? `95 % interval of the mean ${number(datum.low)} to ${number(datum.high)}, n ${datum.n}`
        : `n ${datum.n}, no interval`,
    );
    if (datum.lost) {
      said.push(`${datum.lost} diverged or never started`);
    }
    if (datum.censored) {
      said.push(`${datum.censored} would stop later`);
    }
    if (datum.round !== undefined) {
      const runs = winnow.runs.ofPoint(slug, datum.arm, datum.at, datum.round);
      const names = runs.slice(0, SHOWN).map((run) => run.run);
      said.push(
        ...names,
        ...(runs.length > SHOWN ? [`and ${runs.length - SHOWN} more: click`] : []),
      );
    }
    return said;
  }

  function handler(slug) {
    return (_, event, item, value) => {
      const box = document.getElementById("tooltip");
      const datum = item?.datum;
      if (value === null || value === undefined || value === "" || !datum) {
        box.hidden = true;
        return;
      }
      box.replaceChildren(
        ...lines(slug, datum).map((text, k) => winnow.tools.element(k ? "p" : "strong", text)),
      );
      box.hidden = false;
      const left = Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8);
      const below = event.clientY + 14 + box.offsetHeight < innerHeight;
      box.style.left = `${Math.max(left, 4)}px`;
      box.style.top = `${below ? event.clientY + 14 : event.clientY - box.offsetHeight - 10}px`;
    };
  }

  winnow.tooltip = { handler };
})(window.winnow);
