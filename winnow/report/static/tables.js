/* Tables: sorted by a click on their heads, filtered by words and densities, a metric at a time. */
((winnow) => {
  const { element } = winnow.tools;

  function value(row, column) {
    const text = row.cells[column].textContent.trim();
    const number = Number.parseFloat(text.replace(/^[≥≤+\s]+/, "").replaceAll(",", ""));
    return { text, number };
  }

  /* Numbers by size, words by letters, what is empty last. */
  function compare(a, b) {
    if (!a.text || !b.text) {
      return a.text ? -1 : b.text ? 1 : 0;
    }
    if (Number.isNaN(a.number) || Number.isNaN(b.number)) {
      return a.text.localeCompare(b.text, "en");
    }
    return a.number - b.number;
  }

  function sort(table, column, falling) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, key: value(row, column) }));
    rows.sort((a, b) => {
      const empty = !a.key.text || !b.key.text;
      return falling && !empty ? compare(b.key, a.key) : compare(a.key, b.key);
    });
    body.append(...rows.map((one) => one.row));
  }

  function sortable(table) {
    const heads = [...(table.tHead?.rows[0].cells ?? [])];
    for (const [column, head] of heads.entries()) {
      const button = element("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) {
          other.removeAttribute("aria-sort");
        }
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        sort(table, column, falling);
      });
    }
  }

  function alignText(table) {
    for (const row of table.tBodies[0]?.rows ?? []) {
      for (const cell of row.cells) {
        if (/[a-z]{3}/i.test(cell.textContent)) {
          cell.classList.add("text");
        }
      }
    }
  }

  function enhance(place) {
    for (const table of place.querySelectorAll("table")) {
      sortable(table);
      alignText(table);
    }
  }

  function filter(article) {
    const { range } = winnow.looks.state(article.dataset.slug);
    for (const section of article.querySelectorAll("section")) {
      const words = (section.querySelector("[data-filter]")?.value ?? "").toLowerCase();
      for (const row of section.querySelectorAll("tbody tr")) {
        const density = Number(row.dataset.density);
        const outside =
          range !== null &&
          row.dataset.density !== undefined &&
          (density < range[0] * 0.999 || density > range[1] * 1.001);
        row.hidden = outside || !row.textContent.toLowerCase().includes(words);
      }
    }
  }

  function pick(box) {
    const choice = box.querySelector("select");
    const tables = [...box.querySelectorAll(":scope > [data-metric]")];
    if (!choice || tables.length < 2) {
      return;
    }
    const show = () => {
      for (const table of tables) {
        table.hidden = table.dataset.metric !== choice.value;
      }
    };
    box.querySelector(".pick").hidden = false;
    choice.addEventListener("change", show);
    show();
  }

  /* A button in each row lists the runs at its density: what a click on a point does, by keyboard. */
  function listRuns(article) {
    for (const row of article.querySelectorAll("table[data-runs] tbody tr")) {
      const line = row.closest("table").dataset.line;
      const density = Number(row.dataset.density);
      const button = element("button", "runs", { type: "button", class: "list-runs" });
      button.setAttribute("aria-label", `Runs at ${density} % of the weights`);
      button.addEventListener("click", () => {
        const near = (run) => Math.abs(run.density / density - 1) < 0.01;
        const own = (run) => (run.line ?? "") === line && near(run);
        const runs = winnow.runs.all(article.dataset.slug).filter(own);
        winnow.runs.open(`${line ? `${line}, ` : ""}${density} % of the weights`, runs);
      });
      row.cells[0].append(" ", button);
    }
  }

  function start(article) {
    enhance(article);
    listRuns(article);
    for (const box of article.querySelectorAll(".metrics")) {
      pick(box);
    }
    for (const box of article.querySelectorAll(".filter")) {
      box.hidden = false;
      box.querySelector("input").addEventListener("input", () => filter(article));
    }
  }

  winnow.tables = { enhance, filter, start };
})(window.winnow);
