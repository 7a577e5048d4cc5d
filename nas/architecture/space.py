"""Search spaces: the genes over which searches work, and how they become genomes.

Layer i has a gene `l{i}.d{d}` for every allowed distance d it can reach (choice 0.0: no skip, else
the skip's strength), a gene `l{i}.s0` or `l{i}.sm` for a source by name, and a gene `l{i}.merge`.
A gene with one choice is left out. The merge gene of a layer without skips says nothing, and of
skips from one node only the first is there, so several vectors can decode to one genome. In a space
whose skips are `always` there, no distance has the choice 0.0. In a space with a `period`, the genes
are those of a motif of so many layers, which is tiled over the depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from math import prod
from random import Random

from nas.architecture.genome import Genome, Motif
from nas.architecture.layers import (
    Layer,
    Skip,
    Source,
    count_sets,
    gene_text,
    named,
    rank,
    start_said,
    start_text,
)
from nas.architecture.merges import MERGES
from nas.architecture.notation import check_rate
from nas.architecture.parts import Shape
from nas.architecture.skeletons.families import RecordedSkeleton
from nas.errors import InputError, brief, unknown
from nas.proxy import MOST, Proxy

MAX_GENES = 50_000
MAX_STRENGTHS = 1_000
MAX_RATES = 16
RATE_GENE = "learning_rate"
"""Name of the gene that is no layer's."""


@dataclass(frozen=True)
class Gene:
    """One position of a gene vector: a name and its choices; the vector holds indices of choices."""

    name: str
    choices: tuple[str | float, ...]
    layer: int | None
    """From 1; None for the learning rate."""
    distance: int | None
    """The skip's distance, STEM or MIRROR, or None for the layer's merge."""


@dataclass(frozen=True)
class SearchSpace:
    """A skeleton and the distances, merges and strengths that a search may use.

    Raises:
        InputError: an empty, repeated or impossible choice.
    """

    skeleton: RecordedSkeleton
    distances: tuple[int, ...] = (1, 2, 3)
    """Allowed distances; a layer has those that reach no further than the stem."""
    merges: tuple[str, ...] = ("add", "concat")
    strengths: tuple[float, ...] = (0.5, 1.0)
    always: bool = False
    """Whether every allowed skip is always there, so that only merges and strengths are searched."""
    period: int | None = None
    """Layers of the motif that is searched; None searches every layer by itself."""
    learning_rates: tuple[float, ...] = ()
    """Learning rates that are searched as a gene, and at each of which finalists and references are
    tuned; none leaves all at the proxy's."""
    sources: tuple[Source, ...] = ()
    """Sources by name beside distances: the stem, and the skeleton's mirrored nodes."""
    data: str = "digits"
    """The data that this space is usually searched on."""
    proxy: Proxy = field(default_factory=Proxy)
    """The training that ranks candidates."""
    final: Proxy | None = None
    """The longer training of finalists; None is three times the proxy's epochs on all images."""
    name: str = "custom"

    def __post_init__(self) -> None:
        for label in ("distances", "merges", "strengths", "learning_rates", "sources"):
            values = tuple(getattr(self, label))
            object.__setattr__(self, label, values)
            least = label in ("learning_rates", "sources") or len(values)
            if not least or len(set(values)) != len(values):
                raise InputError(
                    f"space: {label} {brief(list(values))} must be distinct and at least one"
                )
        self._check_choices()
        self._check_numbers()

    def _check_choices(self) -> None:
        self.skeleton.check_trainings(self.proxy, self.final_proxy)
        for merge in self.merges:
            if merge not in MERGES:
                raise unknown("merge", merge, MERGES, place="space")
        for distance in self.distances:
            if not 1 <= distance <= self.skeleton.layers:
                raise InputError(
                    f"space: distance {brief(distance)} is not from 1 to {self.skeleton.layers}, "
                    "the number of layers"
                )
        for name in self.sources:
            if not self.skeleton.has(named(name)):
                raise InputError(f"space: source {name}: no layer of {self.skeleton.title} has it")
        for strength in self.strengths:
            if not 0 < strength < float("inf"):
                raise InputError(
                    f"space: strength {brief(strength)} is not a finite number above 0"
                )
        for rate in self.learning_rates:
            check_rate(rate)
        if self.period is not None and not 1 <= self.period <= self.skeleton.layers:
            raise InputError(
                f"space: period {brief(self.period)} is not from 1 to {self.skeleton.layers}, "
                "the number of layers"
            )

    def _check_numbers(self) -> None:
        for label, most in (("strengths", MAX_STRENGTHS), ("learning_rates", MAX_RATES)):
            if (count := len(getattr(self, label))) > most:
                raise InputError(f"space: {count} {label}; at most {most} are allowed")
        starts = len(self.distances) + len(self.sources)
        if (genes := self.skeleton.layers * (1 + starts)) > MAX_GENES:
            raise InputError(
                f"space: {self.skeleton.layers} layers with {starts} distances and sources have "
                f"up to {genes} genes; at most {MAX_GENES} are allowed"
            )

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """All distances of this space, rising, then STEM and MIRROR where they are its sources."""
        return *sorted(self.distances), *sorted(map(named, self.sources), key=rank)

    @cached_property
    def reachable(self) -> tuple[tuple[int, ...], ...]:
        """The distances and names of every layer: within the network, and with an adapter that exists."""
        return tuple(map(tuple, self.nodes))

    @cached_property
    def nodes(self) -> tuple[dict[int, int], ...]:
        """For every layer the nodes of the distances and names that it reaches. Where skips are
        always there, each node is there once."""
        rows = []
        for i in range(1, self.skeleton.layers + 1):
            found: dict[int, int] = {}
            for start in self.starts:
                node = self.skeleton.reached(i, start)
                if node is not None and not (self.always and node in found.values()):
                    found[start] = node
            rows.append(found)
        return tuple(rows)

    @cached_property
    def sites(self) -> tuple[tuple[int, ...], ...]:
        """The distances and names of every layer that is searched: the network's, or the motif's."""
        if self.period is None:
            return self.reachable
        alike = (self.reachable[place :: self.period] for place in range(self.period))
        return tuple(tuple(sorted({d for row in rows for d in row}, key=rank)) for rows in alike)

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """All genes in order: layer by layer, the merge first, then distances; last the learning rate."""
        genes = []
        choices = self.strengths if self.always else (0.0, *self.strengths)
        for layer, distances in enumerate(self.sites, 1):
            if distances and len(self.merges) > 1:
                genes.append(Gene(f"l{layer}.merge", self.merges, layer, None))
            for d in distances:
                if len(choices) > 1:
                    genes.append(Gene(f"l{layer}.{gene_text(d)}", choices, layer, d))
        if len(self.learning_rates) > 1:
            genes.append(Gene(RATE_GENE, self.learning_rates, None, None))
        return tuple(genes)

    @cached_property
    def size(self) -> int:
        """Number of gene vectors."""
        return prod(len(gene.choices) for gene in self.genes)

    @cached_property
    def distinct(self) -> int:
        """Number of different genomes."""
        rows, rates = [row for row in self.sites if row], max(1, len(self.learning_rates))
        if self.always:
            return rates * prod(len(self.merges) * len(self.strengths) ** len(row) for row in rows)
        step = self.period or len(self.nodes)
        places = (self.nodes[place::step] for place, row in enumerate(self.sites) if row)
        counts = (count_sets(len(self.strengths), place) for place in places)
        return rates * prod(1 + len(self.merges) * (count - 1) for count in counts)

    def sample(self, rng: Random) -> Genome:
        """A genome from a gene vector drawn uniformly."""
        return self.decode([rng.randrange(len(gene.choices)) for gene in self.genes])

    def decode(self, vector: Sequence[int]) -> Genome:
        """The genome of a gene vector; every vector of the right length and range has one.

        Raises:
            InputError: wrong length, or a value that is not an index of the gene's choices.
        """
        if len(vector) != len(self.genes):
            raise InputError(
                f"a vector of this space has {len(self.genes)} genes, not {len(vector)}"
            )
        merges = [self.merges[0]] * len(self.sites)
        skips: list[list[Skip]] = [[] for _ in merges]
        if self.always and len(self.strengths) == 1:  # then distances have no genes
            skips = [[Skip(d, self.strengths[0]) for d in row] for row in self.sites]
        rate = self.learning_rates[0] if self.learning_rates else None
        for gene, value in zip(self.genes, vector, strict=True):
            if not 0 <= value < len(gene.choices):
                raise InputError(
                    f"gene {gene.name}: {value} is not an index from 0 to {len(gene.choices) - 1}"
                )
            choice = gene.choices[int(value)]
            if gene.layer is None:
                rate = float(choice)
            elif gene.distance is None:
                merges[gene.layer - 1] = str(choice)
            elif choice:
                skips[gene.layer - 1].append(Skip(gene.distance, float(choice)))
        pairs = zip(merges, skips, strict=True)
        return self.whole([Layer(m, tuple(s)) if s else Layer() for m, s in pairs], rate)

    def searched(self, genome: Genome) -> Genome:
        """What is searched of a genome of this space: itself, or its motif."""
        if self.period is None:
            return genome
        motif = []
        for place in range(self.period):
            alike = [layer for layer in genome.layers[place :: self.period] if layer.skips]
            skips = {skip.distance: skip for layer in alike for skip in layer.skips}
            found = tuple(sorted(skips.values()))
            motif.append(Layer(alike[0].merge, found) if alike else Layer())
        return Motif(tuple(motif), genome.learning_rate)

    def whole(self, layers: Sequence[Layer], learning_rate: float | None = None) -> Genome:
        """The genome whose searched layers these are; skips that cannot be there are left out."""
        if self.period is not None:
            rows = enumerate(self.reachable)
            layers = [layers[i % self.period].among(allowed) for i, allowed in rows]
        if self.sources:
            source = self.skeleton.source
            layers = [x.reading(partial(source, i)) for i, x in enumerate(layers, 1)]
        return Genome(tuple(layers), learning_rate)

    def encode(self, genome: Genome) -> tuple[int, ...]:
        """The gene vector of a genome; a plain layer's merge is the first choice.

        Raises:
            InputError: the genome lies outside this space; the message says where.
        """
        self.check(genome)
        vector, layers = [], self.searched(genome).layers
        for gene in self.genes:
            layer = layers[(gene.layer or 0) - 1]
            if gene.layer is None:
                vector.append(gene.choices.index(genome.learning_rate or 0))
            elif gene.distance is None:
                vector.append(gene.choices.index(layer.merge) if layer.merge else 0)
            else:
                strength = next((s.strength for s in layer.skips if s.distance == gene.distance), 0)
                vector.append(gene.choices.index(strength))
        return tuple(vector)

    def check(self, genome: Genome) -> None:
        """Raises InputError, naming the place and what is allowed, if the genome lies outside."""
        if len(genome) != self.skeleton.layers:
            raise InputError(
                f"the genome has {len(genome)} layers, space {self.name} {self.skeleton.layers}"
            )
        if genome.learning_rate not in (self.learning_rates or (None,)):
            rates = ", ".join(f"{rate:g}" for rate in self.learning_rates) or "none"
            raise InputError(
                f"learning rate {genome.learning_rate} is not in space {self.name}; allowed: {rates}"
            )
        for index, layer in enumerate(genome.layers, 1):
            where = partial("layer {} '{}'".format, index, layer)
            if self.always and len(layer.skips) < len(self.reachable[index - 1]):
                wanted = ", ".join(map(start_text, self.reachable[index - 1]))
                raise InputError(f"{where()}: space {self.name} always has the skips {wanted}")
            if layer.merge and layer.merge not in self.merges:
                raise unknown("merge in this space", layer.merge, self.merges, place=where())
            for skip in layer.skips:
                allowed = self.reachable[index - 1]
                if skip.distance not in allowed:
                    raise InputError(
                        f"{where()}: {start_said(skip.distance)} is not in this space; "
                        f"allowed here: {', '.join(map(start_text, allowed)) or 'none'}"
                    )
                if skip.strength not in self.strengths:
                    raise InputError(
                        f"{where()}: strength {skip.strength:g} is not in this space; "
                        f"allowed: {', '.join(f'{s:g}' for s in self.strengths)}"
                    )
            if self.sources:
                self.skeleton.read_by(index, layer)
        if self.period and self.whole(self.searched(genome).layers) != genome.pattern:
            raise InputError(
                f"the genome is no motif of {self.period} layers, which space {self.name} searches: {genome}"
            )

    def __contains__(self, genome: Genome) -> bool:
        try:
            self.check(genome)
        except InputError:
            return False
        return True

    def params_of(self, genome: Genome) -> dict[str, str | float]:
        """A genome's genes as {name: choice}, the form in which studies record them."""
        pairs = zip(self.genes, self.encode(genome), strict=True)
        return {gene.name: gene.choices[v] for gene, v in pairs}

    def neighbours(self, genome: Genome, rng: Random | None = None) -> Iterator[Genome]:
        """All other genomes that differ in one gene, each once; with `rng` in random order."""
        vector, seen = self.encode(genome), {genome.key}
        moves = [(at, v) for at, gene in enumerate(self.genes) for v in range(len(gene.choices))]
        if rng:
            rng.shuffle(moves)
        for at, value in moves:
            other = self.decode([*vector[:at], value, *vector[at + 1 :]])
            if other.key not in seen:
                seen.add(other.key)
                yield other

    def listed(self) -> Iterator[Genome]:
        """Every genome once, in the order of the gene vectors that `encode` gives."""
        vectors = product(*(range(len(gene.choices)) for gene in self.genes))
        yield from (one for vector in vectors if self.encode(one := self.decode(vector)) == vector)

    def for_data(self, input_shape: Shape, classes: int) -> SearchSpace:
        """This space with a skeleton for the data's shape and classes, as its proxy prepares them."""
        return replace(self, skeleton=self.skeleton.for_training(self.proxy, input_shape, classes))

    @property
    def final_proxy(self) -> Proxy:
        """The training of finalists."""
        longer = replace(self.proxy, epochs=min(3 * self.proxy.epochs, MOST), images=None)
        return self.final or longer
