/* The runs of a point, in a dialog, and all runs of an experiment in a table. */
((winnow) => {
  const COLUMNS = [
    ["run", "run"],
    ["line", "line"],
    ["arm", "arm"],
    ["weights %", "density"],
    ["replicate", "replicate"],
    ["draw", "draw"],
    ["status", "status"],
    ["stops at", "stop"],
    ["test % there", "stop_test"],
    ["test % at the end", "final_test"],
    ["engine", "engine"],
    ["seeds", "seeds"],
    ["iterations", "iterations"],
    ["seconds", "seconds"],
    ["command", "command"],
  ];

  function all(slug) {
    return winnow.data.experiments[slug].runs;
  }

  /* Those of an arm at a round of a line; dense networks are round 0 of every arm. */
  function ofPoint(slug, arm, line, round) {
    const name = round === 0 ? "dense" : arm;
    return all(slug).filter(
      (run) => run.arm === name && (run.line ?? "") === (line ?? "") && run.round === round,
    );
  }

  function cell(run, key) {
    if (key === "command") {
      return `winnow show ${run.run}`;
    }
    if (key === "status" && run.status === "diverged") {
      return `diverged at ${run.diverged_at}`;
    }
    if (key === "stop" && run.stop !== undefined) {
      return `${run.censored ? "≥ " : ""}${winnow.tools.number(run.stop)}`;
    }
    const value = run[key];
    return value === undefined ? "" : String(value);
  }

  function table(runs) {
    const { element } = winnow.tools;
    const columns = COLUMNS.filter(([, key]) => key === "command" || runs.some((r) => key in r));
    const made = element("table", undefined, { class: "cards" });
    const head = made.createTHead().insertRow();
    for (const [title] of columns) {
      head.append(element("th", title, { scope: "col" }));
    }
    const body = made.createTBody();
    for (const run of runs) {
      const row = body.insertRow();
      row.dataset.density = run.density;
      for (const [title, key] of columns) {
        const name = key === "run" ? "th" : "td";
        const made = element(name, undefined, { "data-label": title });
        if (key === "run") {
          made.scope = "row";
        }
        made.append(key === "command" ? element("code", cell(run, key)) : cell(run, key));
        row.append(made);
      }
    }
    const box = element("div", undefined, { class: "scroll", tabindex: "0", role: "region" });
    box.setAttribute("aria-label", "Runs");
    box.append(made);
    return box;
  }

  function open(title, runs) {
    const dialog = document.getElementById("runs");
    document.getElementById("runs-title").textContent = title;
    const inside = dialog.querySelector(".inside");
    const none = winnow.tools.element("p", "No run of it is on this page: see rows.csv.");
    inside.replaceChildren(runs.length ? table(runs) : none);
    winnow.tables.enhance(inside);
    dialog.showModal();
  }

  /* The table of all runs is made when it is opened: it can have thousands of lines. */
  function start(article) {
    const place = article.querySelector(".all-runs");
    place.closest("details").addEventListener(
      "toggle",
      () => {
        place.append(table(all(article.dataset.slug)));
        winnow.tables.enhance(place);
      },
      { once: true },
    );
  }

  winnow.runs = { all, ofPoint, open, start };
})(window.winnow);
