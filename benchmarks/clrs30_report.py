"""The report of results/clrs30.csv: results/report/README.md with its figures, and README's section of results.

    python benchmarks/clrs30_report.py            # both, from what is recorded now
    python benchmarks/clrs30_report.py --text     # without drawing the figures again

Nothing in either is written by hand: tests/test_clrs30_report.py compares them with the file.
"""

from __future__ import annotations

import argparse
import pathlib
import re

import clrs30
import clrs30_cells as cells
import clrs30_tables as tables

README = clrs30.ROOT / "README.md"
REPORT = clrs30.ROOT / "results" / "report"
PLACE = re.compile(r"(<!-- clrs30:results -->\n).*?(<!-- /clrs30 -->)", flags=re.S)
CAPTIONS = {
    "scores": "Node score at n = 64: mean with 95% interval over seeds, every seed as a stroke; published mean ± as "
    "printed",
    "score_by_size": "Node score against size: means as lines, seeds as dots",
    "exact_by_size": "Whole graphs right against size",
    "cost": "Minutes of training of every recorded run, and what the protocol is estimated to take "
    "(benchmarks/clrs30_cost.json)",
}


def recorded(rows: list[dict[str, str]]) -> str:
    """How much of the queue is there, by recipe and network."""
    there = {clrs30.cell_of(row) for row in rows}
    queue = cells.queue()
    lines = []
    for what, of in (
        ("Triplet-GMPNN by the protocol", lambda c: c[1:3] == tables.PROTOCOL),
        ("other networks by the protocol", lambda c: c[2] == "protocol" and c[1] != "triplet_gmpnn"),
        ("the recipe `step` on all thirty", lambda c: c[1:3] == tables.STEP),
        ("`step` with something left out", lambda c: c[1] == "relational" and c[2].startswith("step-")),
        ("other networks by `step`, with relations and without", lambda c: c[1] != "relational" and c[2] != "protocol"),
    ):
        wanted = [cell for cell in queue if of(cell)]
        lines.append([what, f"{len(there.intersection(wanted))} of {len(wanted)} runs"])
    return tables.table(["part", "recorded"], lines)


def made_by(rows: list[dict[str, str]]) -> str:
    commits: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        commits.setdefault((row["recipe"], row["device"]), set()).add(row["commit"])
    lines = (f"- `{recipe}`: commit {', '.join(sorted(of))} on {device}\n" for (recipe, device), of in commits.items())
    return "".join(sorted(lines))


def page(rows: list[dict[str, str]]) -> str:
    """results/report/README.md."""
    found = tables.Table.of(rows)
    figure = {name: f"![{words}]({name}.png)\n\n{words}.\n" for name, words in CAPTIONS.items()}
    return f"""# CLRS-30: what is recorded

Made from [results/clrs30.csv](../clrs30.csv) by `python benchmarks/clrs30_report.py`, nothing by hand. Every row of
that file has the command and the commit that made it; `python benchmarks/clrs30.py` records further ones.

{recorded(rows)}
Trained on at most 16 nodes; the weights are those of the best validation at that size, never chosen by a test. n = 64
is the canonical CLRS-30 test set (string matching: 80 nodes); other sizes are drawn by the same generators. The number
of steps is the trace's. Scores in percent: **mean** ± standard deviation over seeds [95% interval of the mean] (every
seed). Intervals of fewer than five seeds are too narrow. The recipe `step` is another way of training than the
published protocol's, with knowledge of its own ([protocol](../../docs/protocol.md#recipes)): the columns say what each
reaches, not which network is better.

## Node scores at n = 64

{tables.scores(found)}
Published: Ibarz et al. 2022, Table 2 (10 seeds; the table does not say which kind of spread it prints).

{figure["scores"]}
## Beyond 64 nodes

Node score of `step` by size. A size whose rollouts would take a CPU much longer than minutes is evaluated on fewer
graphs, which the cell then says, or is "too long".

{tables.by_size(found, "score")}
{figure["score_by_size"]}
Whole graphs with every output right:

{tables.by_size(found, "exact")}
{figure["exact_by_size"]}
## Without being told when to stop

At n = 64 a reasoner of the recipe `step` takes the steps of the trace, or it goes on until its halting head, which was
trained on whether a moment is the last one, says that it has finished.

{tables.own_end(found)}
## Cost

Minutes of one core, means over seeds. "By the clock" is the training loop alone, with its validations; CPU time is that
of all processes of the run, evaluations at every size among them. Runs that were added by hand lack it.

{tables.cost(found)}
{figure["cost"]}
## What the parts of `step` do

Node score at n = 64, mean ± standard deviation of three seeds, by the processor `relational`.

{tables.ablation(found)}
## Networks of the literature

Under the published protocol, n = 64; published: Ibarz et al. 2022, of which memnet, mpnn and pgn reprint results of an
earlier protocol.

{tables.named_by_protocol(found)}
By the recipe `step` with another processor, with relations in place of numbers and without:

{tables.named_by_step(found)}
## Made by

{made_by(rows)}"""


def section(rows: list[dict[str, str]]) -> str:
    """README's section of results."""
    found = tables.Table.of(rows)
    return f"""Node score in percent on the canonical CLRS-30 test set (64 nodes), trained on at most 16:
mean ± standard deviation over seeds. Published: Ibarz et al. 2022, Table 2. Every seed, intervals, sizes up to 512,
whole graphs, cost and ablations: [results/report/](results/report/README.md), made from
[results/clrs30.csv](results/clrs30.csv) like this table.

{tables.scores(found, tables.short)}
![{CAPTIONS["score_by_size"]}](results/report/score_by_size.png)

The recipe `step` trains in another way than the published protocol and knows more beforehand
([protocol](docs/protocol.md#recipes)); its scores say what can be reached, not which network is better under one
protocol. Three seeds are few. Node scores flatter: a graph counts as whole only where every output at every node is
right.
"""


def filled(readme: str, rows: list[dict[str, str]]) -> str:
    """README with its section as of these rows."""
    return PLACE.sub(lambda place: place[1] + section(rows) + place[2], readme)


def write(rows: list[dict[str, str]], folder: pathlib.Path, *, figures: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(page(rows))
    if figures:
        from clrs30_figures import FIGURES, STYLE, rc_context

        found = tables.Table.of(rows)
        for name, draw in FIGURES.items():
            with rc_context(STYLE):
                draw(found).savefig(folder / f"{name}.png", dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", action="store_true", help="leave the figures as they are")
    options = parser.parse_args()
    rows = clrs30.rows()
    write(rows, REPORT, figures=not options.text)
    README.write_text(filled(README.read_text(), rows))
    print(f"{REPORT / 'README.md'}, and {README.name}'s section of results")


if __name__ == "__main__":
    main()
