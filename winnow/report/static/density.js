/* The range of densities: from a brush or from two fields; tables show its rows alone. */
((winnow) => {
  function choose(article, range) {
    winnow.looks.state(article.dataset.slug).range = range;
    const [low, high] = range ?? ["", ""];
    const write = (value) => (value === "" ? "" : Number(value).toPrecision(3));
    article.querySelector('[data-range="low"]').value = write(low);
    article.querySelector('[data-range="high"]').value = write(high);
    winnow.tables.filter(article);
  }

  function start(article) {
    const low = article.querySelector('[data-range="low"]');
    const high = article.querySelector('[data-range="high"]');
    if (!low) {
      return;
    }
    const read = () => {
      const given = low.value !== "" || high.value !== "";
      winnow.looks.state(article.dataset.slug).range = given
        ? [Number(low.value || 0), Number(high.value || 100)]
        : null;
      winnow.tables.filter(article);
    };
    low.addEventListener("input", read);
    high.addEventListener("input", read);
    article
      .querySelector('[data-range="clear"]')
      .addEventListener("click", () => choose(article, null));
  }

  winnow.density = { choose, start };
})(window.winnow);
