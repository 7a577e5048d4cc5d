"""What notebooks show of genomes and plans: well-formed, complete, quick, without torch."""

import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from nas import Genome, compile_network, plan
from nas.architecture.merges import MERGES
from nas.drawing.html import MAX_ROWS, table_html
from nas.drawing.svg import MAX_DRAWN, genome_svg, plan_svg
from search_spaces import SPACES
from tests.conftest import random_genome

SVG = "{http://www.w3.org/2000/svg}"


def parts(svg):
    """(boxes, arcs, arrow heads, tips) of a drawing."""
    root = ElementTree.fromstring(svg)
    boxes = [r for r in root.iter(f"{SVG}rect") if r.get("rx") == "4"]
    paths = list(root.iter(f"{SVG}path"))
    arcs = [p for p in paths if "A" in p.get("d")]
    heads = [p for p in paths if p.get("d").endswith("z")]
    return boxes, arcs, heads, [t.text for t in root.iter(f"{SVG}title")]


def ends(arc):
    """The x of an arc's two ends."""
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", arc.get("d"))]
    return numbers[0], numbers[-2]


@pytest.mark.parametrize("seed", range(5))
def test_a_drawing_has_every_layer_and_every_skip_in_its_place(seed):
    genome = random_genome(12, random.Random(seed), list(MERGES))
    boxes, arcs, heads, tips = parts(genome_svg(genome))
    middles = [float(b.get("x")) + float(b.get("width")) / 2 for b in boxes]
    assert middles == sorted(middles)
    assert len(middles) == 13
    wanted = [
        (layer, index - skip.distance, index, skip.strength)
        for index, layer in enumerate(genome.layers, 1)
        for skip in layer.skips
    ]
    assert len(arcs) == len(heads) == len(wanted)
    for arc, (layer, source, target, _) in zip(arcs, wanted, strict=True):
        assert ends(arc) == pytest.approx((middles[source], middles[target]), abs=0.1)
        assert arc.get("stroke") == MERGES[layer.merge].colour
    widths = {
        strength: arc.get("stroke-width") for arc, (*_, strength) in zip(arcs, wanted, strict=True)
    }
    assert sorted(widths, key=float) == sorted(widths, key=lambda s: float(widths[s]))
    assert tips[1:] == [f"layer {i}: {layer}" for i, layer in enumerate(genome.layers, 1)]


def test_the_colours_are_the_pages_own_but_on_paper():
    genome = Genome.parse("- add(1)")
    inline, paper = genome_svg(genome), genome_svg(genome, paper=True)
    root = ElementTree.fromstring(inline)
    assert root.get("color") == "currentColor"
    assert {t.get("fill") for t in root.iter(f"{SVG}text")} == {"currentColor"}
    ground = ElementTree.fromstring(paper)[0]
    assert (ground.tag, ground.get("fill")) == (f"{SVG}rect", "#fff")
    assert ElementTree.fromstring(paper).get("color") == "#222"


class Cells(HTMLParser):
    """The texts of a table's cells by row."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def test_a_plans_table_adds_up_to_the_network():
    space = SPACES["digits9"]
    genome = Genome.parse("add(1)*4 - concat(1,3@0.5)*4")
    html = plan(genome, space.skeleton)._repr_html_()
    header, *rows, total = Cells(html).rows
    assert header == ["layer", "pattern", "output C×H×W", "parameters", "MACs"]
    assert [row[0] for row in rows] == ["stem", *map(str, range(1, 10)), "head"]
    assert rows[6][1] == "concat(1,3@0.5)"
    network = compile_network(genome, space.skeleton)
    learnt = sum(p.numel() for p in network.parameters())
    numbers = [int(row[3].replace(",", "")) for row in rows]
    assert sum(numbers) == int(total[3].replace(",", "")) == learnt
    fourth = sum(p.numel() for n, p in network.named_parameters() if n.startswith("layers.4."))
    assert numbers[4] == fourth
    assert [row[2] for row in rows[3:5]] == ["16×8×8", "32×4×4"]
    assert "stage 3: 64×2×2" in html


def test_the_notebooks_html_of_a_genome_has_its_notation():
    genome = Genome.parse("- add(1)*4 concat(1,3@0.5)*4")
    html = genome._repr_html_()
    assert "<code>- add(1)*4 concat(1,3@0.5)*4</code>" in html
    assert "layers: 9, skips: 12" in html
    assert repr(genome) == "Genome.parse('- add(1)*4 concat(1,3@0.5)*4')"


def test_titles_and_cells_are_escaped():
    svg = plan_svg(plan(Genome.plain(9), SPACES["digits9"].skeleton), "<script>alert(1)</script>")
    assert "<script" not in svg
    assert "<script>alert(1)</script>" in [t.text for t in ElementTree.fromstring(svg).iter()]
    assert Cells(table_html(["a"], [["<b>&"]])).rows == [["a"], ["<b>&"]]


def test_long_patterns_are_told_and_not_drawn():
    html = Genome.residual(MAX_DRAWN)._repr_html_()
    assert html.count('rx="4"') == MAX_DRAWN + 1
    long = Genome.residual(9999)
    assert "9,999 layers: too many to draw" in long._repr_html_()
    assert "add(1)*9999" in long._repr_html_()
    ElementTree.fromstring(genome_svg(long, paper=True))
    rows = Cells(plan(Genome.residual(601), baseline_skeleton())._repr_html_()).rows
    assert len(rows) == MAX_ROWS + 3  # with the header, the gap and the total
    assert [f"{601 + 2 - MAX_ROWS:,} more layers" in row for row in rows].count(True) == 1


def baseline_skeleton():
    from baselines import BASELINES

    return BASELINES["resnet-1202"].skeleton


def test_showing_needs_neither_torch_nor_matplotlib():
    code = (
        "import sys\n"
        "from nas import Genome, plan\n"
        "from search_spaces import SPACES\n"
        "assert '<svg' in plan(Genome.residual(9), SPACES['digits9'].skeleton)._repr_html_()\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
