"""Claims of papers, judged from stored rows alone.

`judge` is the door: a Claim of a recipe (`winnow.experiment.recipe.claims`) against Results.

1. Values. `samples`: one number of each run, of a row or an analysis; `places`: which rounds;
   `gather` and `evidence`: one value for each replicate, a difference, a ratio, a value or a
   crossing, and what forbids an answer; `resolution`: the smallest step of a column; `settings`:
   what a line says.
2. Answers. `intervals`: Student's interval; `regions`: where the claim wants it; `holds`:
   confirmed, contradicted, undecided, parts together, and the n that would decide; `number`:
   whether a printed number is reproduced; `seen`: what a small scale can say.
3. Words. `score`: the scoreboard by paper; `words`: its numbers; `render`: text, Markdown, HTML.
"""
