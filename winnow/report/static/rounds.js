/* Round by round: one slider for learning curves, densities of layers, histograms and overlaps. */
((winnow) => {
  const { element, number } = winnow.tools;
  const explorers = new Map();

  /* Of the chosen line, where there are lines; without arms that the legend hides. */
  function entries(one, kind, stop) {
    const line = one.section.querySelector("[data-line-of-rounds]")?.value ?? "";
    return one.data[kind].filter(
      (entry) => entry.stop === stop && entry.line === line && winnow.looks.shows(one.slug, entry),
    );
  }

  function curveRows(one) {
    const metric = one.section.querySelector("[data-metric-of-curves]").value;
    const dense = one.stop ? entries(one, "curves", 0) : [];
    const rows = [];
    for (const entry of [...dense, ...entries(one, "curves", one.stop)]) {
      const curves = entry[metric];
      if (!curves) {
        continue;
      }
      const series = entry.arm;
      const color = entry.stop === 0 ? "var(--soft)" : winnow.looks.color(one.slug, entry);
      for (const [run, values] of [curves.mean, ...curves.singles].entries()) {
        for (const [k, value] of values.entries()) {
          if (value !== null) {
            rows.push({ step: entry.steps[k], value, series, color, run });
          }
        }
      }
    }
    return rows;
  }

  function layerRows(one) {
    return entries(one, "layers", one.stop).flatMap((entry) =>
      entry.layers.map((layer, k) => ({
        layer,
        value: entry.values[k],
        series: entry.arm,
        color: winnow.looks.color(one.slug, entry),
      })),
    );
  }

  function histogramName(entry) {
    return [entry.of, entry.field, entry.layer].filter(Boolean).join(": ");
  }

  function histogramRows(one) {
    const wanted = one.section.querySelector("[data-histogram]").value;
    return entries(one, "histograms", one.stop)
      .filter((entry) => histogramName(entry) === wanted)
      .flatMap((entry) =>
        entry.bins.map((bin, k) => ({
          bin,
          value: entry.values[k],
          series: entry.arm,
          color: winnow.looks.color(one.slug, entry),
        })),
      );
  }

  /* Arms that are compared, against what they are compared with. */
  function overlaps(one, table) {
    const found = entries(one, "overlaps", one.stop);
    const others = [...new Set(found.map((entry) => entry.other))];
    const names = [...new Set(found.map((entry) => entry.arm))];
    const head = element("tr");
    head.append(
      element("td", ""),
      ...others.map((other) => element("th", other, { scope: "col" })),
    );
    const rows = names.map((name) => {
      const row = element("tr");
      row.append(element("th", name, { scope: "row" }));
      for (const other of others) {
        const pair = found.find((entry) => entry.arm === name && entry.other === other);
        const text = pair ? `${pair.jaccard.toFixed(2)} (${pair.jaccard_chance.toFixed(2)})` : "";
        const cell = element("td", text);
        if (pair) {
          const share = Math.round(45 * Math.max(pair.jaccard, 0));
          cell.style.background = `color-mix(in srgb, #0072b2 ${share}%, var(--paper))`;
          cell.title = `agreement ${number(pair.agreement)}, by chance ${number(pair.agreement_chance)}`;
        }
        row.append(cell);
      }
      return row;
    });
    table.replaceChildren(head, ...rows);
  }

  /* Where the vertical axis ends: without the first tenth of the steps, where all are as bad. */
  function limits(rows) {
    const last = Math.max(...rows.map((row) => row.step));
    const settled = rows.filter((row) => row.step >= last / 10).map((row) => row.value);
    const [low, high] = [Math.min(...settled), Math.max(...settled)];
    const spare = 0.05 * (high - low || Math.abs(high) || 1);
    return settled.length ? [low - spare, high + spare] : [0, 1];
  }

  /* Bins whose widths grow from zero on stand evenly on an axis that is logarithmic on both sides. */
  function binAxis(rows) {
    const bins = [...new Set(rows.map((row) => row.bin))].sort((a, b) => a - b);
    const gaps = bins.slice(1).map((bin, k) => bin - bins[k]);
    const uneven = Math.max(...gaps) > 5 * Math.min(...gaps);
    const smallest = Math.min(...bins.map(Math.abs).filter(Boolean));
    if (!uneven) {
      return { scale: { zero: false } };
    }
    const decades = [];
    for (let power = Math.ceil(Math.log10(smallest)); power < 3; power += 2) {
      decades.push(10 ** power);
    }
    const values = [...decades.map((decade) => -decade), 0, ...decades];
    const axis = { title: "Value", format: "~g", values };
    return { axis, scale: { type: "symlog", constant: smallest } };
  }

  const ROWS = { curves: curveRows, layers: layerRows, histogram: histogramRows };

  async function draw(one, figure) {
    const kind = figure.dataset.of;
    if (kind === "overlaps") {
      overlaps(one, figure.querySelector("table"));
      figure.dataset.drawn = one.stop;
      return;
    }
    const rows = ROWS[kind](one);
    let view = one.views.get(kind);
    if (!view) {
      const spec = structuredClone(winnow.data.specs[kind]);
      spec.datasets = { [kind]: [] };
      if (kind === "histogram") {
        Object.assign(spec.encoding.x, binAxis(rows));
      }
      view = await winnow.charts.embed(figure.querySelector(".canvas"), spec, one.slug);
      one.views.set(kind, view);
    }
    view.data(kind, rows);
    if (kind === "curves") {
      const [bottom, top] = limits(rows);
      view.signal("bottom", bottom).signal("top", top);
    }
    await view.resize().runAsync();
    figure.dataset.drawn = one.stop;
  }

  async function drawAll(one) {
    one.section.querySelector("output").textContent = one.data.stops[one.stop];
    for (const figure of one.section.querySelectorAll(".explorer")) {
      await draw(one, figure);
    }
  }

  /* One drawing at a time; while it lasts, only the newest wish is kept. */
  function request(one) {
    one.wanted = true;
    one.drawing ??= (async () => {
      while (one.wanted) {
        one.wanted = false;
        await drawAll(one);
      }
      one.drawing = null;
    })();
  }

  function choices(one) {
    const line = one.section.querySelector("[data-line-of-rounds]");
    line?.addEventListener("change", () => request(one));
    const select = one.section.querySelector("[data-metric-of-curves]");
    for (const option of select?.options ?? []) {
      const metric = one.data.metrics.find((known) => known.name === option.value);
      option.textContent = metric.title;
      option.value = metric.name;
    }
    select?.addEventListener("change", () => request(one));
    const histogram = one.section.querySelector("[data-histogram]");
    if (histogram) {
      const names = [...new Set(one.data.histograms.map(histogramName))];
      histogram.append(...names.map((name) => element("option", name)));
      histogram.addEventListener("change", () => request(one));
    }
  }

  function start(article) {
    const section = article.querySelector("section.rounds");
    if (!section) {
      return;
    }
    const slug = article.dataset.slug;
    const data = winnow.data.experiments[slug].rounds;
    const one = { section, slug, data, stop: Math.min(1, data.stops.length - 1), views: new Map() };
    explorers.set(article, one);
    choices(one);
    const slider = section.querySelector("[data-stop]");
    slider.value = one.stop;
    const moved = () => {
      one.stop = Number(slider.value);
      slider.setAttribute("aria-valuetext", data.stops[one.stop]);
      request(one);
    };
    slider.addEventListener("input", moved);
    const watch = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) {
          watch.disconnect();
          one.visible = true;
          moved();
        }
      },
      { rootMargin: "200px" },
    );
    watch.observe(section);
  }

  function refresh(article) {
    const one = explorers.get(article);
    if (one?.visible) {
      request(one);
    }
  }

  winnow.rounds = { refresh, start };
})(window.winnow);
