/* Many experiments: one at a time, by the address after #; the index has a search. */
((winnow) => {
  function show() {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const target = wanted ? document.getElementById(wanted) : null;
    const article = target?.closest("article");
    for (const other of document.querySelectorAll("article.experiment")) {
      other.hidden = other !== article;
    }
    document.querySelector("section.index").hidden = Boolean(article);
    if (article) {
      target.scrollIntoView();
      document.title = article.querySelector("h1").textContent;
    }
  }

  function search() {
    const words = document
      .getElementById("search")
      .value.toLowerCase()
      .split(/\s+/)
      .filter(Boolean);
    const cards = [...document.querySelectorAll(".gallery > li")];
    for (const card of cards) {
      card.hidden = !words.every((word) => card.dataset.search.includes(word));
    }
    const left = cards.filter((card) => !card.hidden).length;
    document.getElementById("found").textContent = words.length ? `${left} of ${cards.length}` : "";
  }

  function start() {
    if (!document.querySelector("main.many")) {
      return;
    }
    addEventListener("hashchange", show);
    addEventListener("beforeprint", () => {
      for (const article of document.querySelectorAll("article.experiment")) {
        article.hidden = false;
      }
    });
    addEventListener("afterprint", show);
    document.getElementById("search").addEventListener("input", search);
    show();
  }

  winnow.index = { start };
})(window.winnow);
