/* Charts: drawn when they come near the screen, or when there is time; axes, zoom, brush, clicks. */
((winnow) => {
  const mounted = new Map();

  function slugOf(figure) {
    return figure.closest("article").dataset.slug;
  }

  async function embed(place, spec, slug) {
    const result = await window.winnowVega(place, spec, {
      actions: false,
      config: winnow.data.config,
      logLevel: 1,
      mode: "vega-lite",
      renderer: "svg",
      tooltip: winnow.tooltip.handler(slug),
    });
    // The place itself has a role and a name; what is inside of the drawing has none.
    place.querySelector("svg").setAttribute("aria-hidden", "true");
    return result.view;
  }

  function known(figure) {
    return winnow.data.experiments[slugOf(figure)].charts[figure.dataset.chart];
  }

  function scales(spec, axis) {
    const found = [];
    for (const layer of spec.layer) {
      const scale = layer.encoding?.[axis]?.scale;
      if (scale) {
        found.push(scale);
      }
    }
    return found;
  }

  function isLog(spec, axis) {
    return scales(spec, axis)[0]?.type === "log";
  }

  /* A log axis has no place for 0 and below: a limit there is left out. */
  function setLog(spec, axis, log) {
    for (const scale of scales(spec, axis)) {
      scale.type = log ? "log" : "linear";
      scale.zero = log ? undefined : false;
      if (log && (scale.domain?.[0] <= 0 || scale.domainMin <= 0)) {
        scale.domain = undefined;
        scale.domainMin = undefined;
      }
    }
  }

  function positive(points, axis) {
    const keys = axis === "x" ? ["x"] : ["y", "minimum", "low"];
    return points.every((point) => keys.every((key) => point[key] > 0));
  }

  async function mount(figure) {
    if (mounted.has(figure)) {
      return mounted.get(figure);
    }
    const { spec, points } = known(figure);
    const chart = { figure, spec: structuredClone(spec), points, view: null };
    mounted.set(figure, chart);
    await draw(chart);
    tools(chart);
    return chart;
  }

  async function draw(chart) {
    const slug = slugOf(chart.figure);
    const { arms, lines } = winnow.looks.state(slug);
    chart.view?.finalize();
    const place = chart.figure.querySelector(".canvas");
    chart.view = await embed(place, { ...chart.spec, datasets: { points: chart.points } }, slug);
    chart.view.signal("hidden_arms", [...arms]).signal("hidden_lines", [...lines]);
    await chart.view.runAsync();
    listen(chart, slug);
    chart.figure.dataset.drawn = "";
  }

  function listen(chart, slug) {
    chart.view.addEventListener("click", (_, item) => {
      const datum = item?.datum;
      if (datum?.round !== undefined) {
        const runs = winnow.runs.ofPoint(slug, datum.arm, datum.at, datum.round);
        winnow.runs.open(`${datum.series} at ${winnow.tools.number(datum.x)}`, runs);
      }
    });
    if (chart.spec.params.some((one) => one.name === "brush")) {
      chart.view.addSignalListener("brush", (_, value) => {
        const ends = value?.x;
        winnow.density.choose(
          chart.figure.closest("article"),
          ends ? [...ends].sort((a, b) => a - b) : null,
        );
      });
    }
  }

  function tools(chart) {
    const box = chart.figure.querySelector(".tools");
    box.hidden = false;
    for (const axis of ["x", "y"]) {
      const button = box.querySelector(`[data-tool="${axis}"]`);
      const word = () => {
        button.querySelector("span").textContent = isLog(chart.spec, axis) ? "log" : "linear";
      };
      const none = scales(chart.spec, axis).length === 0;
      button.hidden = none;
      button.disabled = !isLog(chart.spec, axis) && !positive(chart.points, axis);
      button.addEventListener("click", async () => {
        setLog(chart.spec, axis, !isLog(chart.spec, axis));
        word();
        await draw(chart);
      });
      word();
    }
    box.querySelector('[data-tool="reset"]').addEventListener("click", async () => {
      chart.spec = structuredClone(known(chart.figure).spec);
      await draw(chart);
      for (const axis of ["x", "y"]) {
        box.querySelector(`[data-tool="${axis}"] span`).textContent = isLog(chart.spec, axis)
          ? "log"
          : "linear";
      }
      winnow.density.choose(chart.figure.closest("article"), null);
    });
  }

  /* After the legend was used: every drawn chart of the experiment hides the same. */
  function refresh(article) {
    const { arms, lines } = winnow.looks.state(article.dataset.slug);
    for (const chart of mounted.values()) {
      if (article.contains(chart.figure) && chart.view) {
        chart.view
          .signal("hidden_arms", [...arms])
          .signal("hidden_lines", [...lines])
          .runAsync();
      }
    }
  }

  function start() {
    const figures = [...document.querySelectorAll("figure.chart")];
    const watch = new IntersectionObserver(
      (entries) => {
        for (const entry of entries.filter((one) => one.isIntersecting)) {
          watch.unobserve(entry.target);
          mount(entry.target);
        }
      },
      { rootMargin: "300px" },
    );
    for (const figure of figures) {
      watch.observe(figure);
    }
  }

  winnow.charts = { embed, mount, refresh, start };
})(window.winnow);
