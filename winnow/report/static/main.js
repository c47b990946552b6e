/* Reads the data and starts everything. */
((winnow) => {
  winnow.data = JSON.parse(document.getElementById("winnow-data").textContent);
  winnow.theme.start();
  for (const article of document.querySelectorAll("article.experiment")) {
    winnow.legend.start(article);
    winnow.density.start(article);
    winnow.tables.start(article);
    winnow.rounds.start(article);
    winnow.runs.start(article);
  }
  winnow.index.start();
  winnow.charts.start();
})(window.winnow);
