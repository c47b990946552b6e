"""Mask searches: scores train over frozen weights.

edge-popup and supermask search in the random network of the replicate, initialised as they need it;
a jackpot searches in the dense network that the replicate has trained, or in one from a file. Each
search trains its scores for ``train.steps`` or steps of its own, with its own optimizer and
schedule. ``fine_tune`` trains the weights of what was found: an arm of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from winnow.algorithms.catalogue import CatalogueEntry, KindName
from winnow.algorithms.search import search_method
from winnow.algorithms.search.layers import scope_of
from winnow.allocation import keep_for_density
from winnow.errors import UserError
from winnow.experiment.arms import Arm
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.plan.kinds.search_options import (
    FineTune,
    ResolvedSearch,
    resolve_search,
    search_options,
)
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.plan.setting import plain, run_init
from winnow.experiment.recipe.model import Init
from winnow.experiment.recipe.network import network
from winnow.experiment.recipe.prune import USUAL_CRITERION
from winnow.experiment.run_parts import RunSchedule, RunSearch
from winnow.experiment.runs import Pruning, Run, Start
from winnow.experiment.store.weights import hash_of_weights, weights_file
from winnow.models import is_own_network
from winnow.models.initialise import check_scheme
from winnow.models.own import OWN_INIT

_TEXT = """In comparisons all layers compete but those of ``ignore``, and scores train for
``train.steps``, or ``steps``, in batches of ``train.batch``, or ``batch``; epochs are counted in
these. ``optimizer`` ({lr: 0.01} changes only the rate) and ``schedule``: theirs.
``fine_tune``: 100it, or {steps: 100it, optimizer: …, schedule: …} where these are not those of
``train``, trains the weights of what was found: an arm of its own, with -fine-tuned behind."""

_RANDOM = """``init``: what the random network is, as in ``model`` (model.init: the same one).
``scale_fan``: kaiming's variance counts only the density of each fan in."""

_TRAINED = """``weights``: trained (the dense network of the replicate), or a file of other ones: a
state_dict, safetensors, a ticket, the folder of a run."""

_AT_FIRST = """``probability: density``: starts at the density that is asked for. The authors find
one, from one half on, in a network of ``init: signed-glorot`` with ``scale_fan: false``."""


@dataclass(frozen=True)
class SearchKind:
    """The weights stay, and scores decide which of them are kept."""

    name: KindName = "mask search"
    panel: str = "Masks that are searched"
    cost: str = "one training, of scores"

    def options(self, entry: CatalogueEntry) -> dict[str, object]:
        """Those of the method, then those of its network and training."""
        return {**search_options(entry.name), "ignore": []}

    def text(self, entry: CatalogueEntry) -> str:
        """What a search is in, and how it is trained."""
        search = search_method(entry.name)
        texts = [_TEXT, _TRAINED if search.of_trained else _RANDOM]
        at_density = "density" in search.compared.values()
        return "\n".join([*texts, *([_AT_FIRST] if at_density else [])])

    def plan(self, method: ComparedMethod) -> PlannedSearch:
        """The method, ready to be planned."""
        setting, file = method.setting, weights_file(method.spec)
        _check_engine(method.arm.name, setting.recipe.engine)
        weights = hash_of_weights(setting.recipe, file, method.arm.name) if file else None
        resolved = {d: resolve_search(method, d) for d in method.densities}
        planned = PlannedSearch(method, resolved, weights)
        for density in method.densities:
            planned.check(density)
        return planned


@dataclass(frozen=True)
class PlannedSearch:
    """A search in a recipe, at each density. ``weights``: the hash of those of a file, if given."""

    method: ComparedMethod
    resolved: dict[float, ResolvedSearch]
    weights: str | None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Its own arm, and that of what it finds where it is fine-tuned."""
        own = self.method.arm
        return (own, self._tuned_arm) if self._tuned(self.method.densities[0]) else (own,)

    def points(self, replicate: Replicate) -> Iterator[Node]:
        """A point for each density, and one for its fine-tuning."""
        for index, density in enumerate(self.method.densities, 1):
            run = self._run(replicate, density)
            yield replicate.point(self.method.arm, index, run)
            if tune := self._tuned(density):
                yield replicate.point(self._tuned_arm, index, self._tuning(replicate, run, tune))

    def check(self, density: float) -> None:
        """UserError for what the search cannot do in this recipe."""
        search = self.resolved[density]
        self._keep(density)
        self._timed(self.method.setting.dense, density)
        if not search.method.of_trained:
            self._check_init(self._init(density))
        if search.training.fine_tune is not None:
            self._check_tuning(search.training.fine_tune)

    @property
    def _tuned_arm(self) -> Arm:
        own = self.method.arm
        return replace(own, name=f"{own.name}-fine-tuned", of=own.name, bound=None)

    def _tuned(self, density: float) -> FineTune | None:
        return self.resolved[density].training.fine_tune

    def _keep(self, density: float) -> int:
        """How many weights the search keeps, by its rates; in which layers, weights may say."""
        method, share = self.method, self.method.share(density)
        rates = asdict(self.resolved[density].method)["rates"]  # type: ignore[call-overload]
        counts = keep_for_density(method.shapes, method.sizes, share, scope_of(rates))
        keep = counts if isinstance(counts, int) else sum(counts.values())
        if keep == 0:
            raise UserError(
                f"{method.arm.name}: density {share:g} keeps no weight of any layer with rates: "
                f"{rates}; write rates: uniform, or leave that density out"
            )
        return keep

    def _init(self, density: float) -> Init:
        """What a random network starts as."""
        training = self.resolved[density].training
        if not training.scale_fan:
            return training.init
        if not training.init.counts_fan_in or training.init.kept != 1:
            raise UserError(
                f"{self.method.arm.name}: scale_fan counts the density of each fan in, for kaiming "
                "initialisations that go by the fan in, without a kept, and init is "
                f"{training.init.name}: write scale_fan: false"
            )
        return training.init.model_copy(update={"kept": self.method.share(density)})

    def _check_init(self, init: Init) -> None:
        """UserError for one's own network with layers that the initialisation does not know."""
        arm, recipe = self.method.arm.name, self.method.setting.recipe
        if is_own_network(recipe.model.name) and init.name != OWN_INIT:
            try:
                check_scheme(network(recipe), init.name)
            except UserError as error:
                raise UserError(
                    f"{arm}: {error}. Of this method write init: own and scale_fan: false"
                ) from None

    def _check_tuning(self, tune: FineTune) -> None:
        arm, setting = self.method.arm.name, self.method.setting
        steps = setting.iterations(f"fine_tune of {arm}", tune.steps)
        schedule = setting.schedule(tune.schedule or setting.recipe.train.schedule)
        if late := [drop for drop in schedule.drops if drop >= steps]:
            raise UserError(
                f"{arm} is fine-tuned for {tune.steps}, and the schedule's drop at {late[0]}it "
                "comes after that: give it one, fine_tune: "
                f"{{steps: {tune.steps}, schedule: cosine}}"
            )

    def _run(self, replicate: Replicate, density: float) -> Run:
        method, training = self.resolved[density].method, self.resolved[density].training
        schedule = RunSchedule.load(method.schedule)
        own = self.method.setting.in_batches_of(training.batch)
        if training.schedule is not None:
            schedule = own.schedule(training.schedule)
        search = RunSearch(
            name=self.method.spec.name,
            options=asdict(method),  # type: ignore[call-overload]
            prunable=tuple(self.method.shapes),
            keep=self._keep(density),
            seed=replicate.mask_seed,
            weights=self.weights,
        )
        optimizer = plain(training.optimizer.resolved())
        dense = self._timed(replicate.dense, density)
        run = replace(dense, optimizer=optimizer, schedule=schedule, search=search)
        if self.weights is not None:
            return replace(run, start=Start("given"))
        if method.of_trained:
            return replace(run, start=Start("final", replicate.dense.id))
        return replace(run, model=replace(run.model, init=run_init(self._init(density))))

    def _timed(self, dense: Run, density: float) -> Run:
        """The dense training, as long and in such batches as scores train."""
        training, setting = self.resolved[density].training, self.method.setting
        own = setting.in_batches_of(training.batch)
        train = setting.recipe.train
        steps = own.iterations(f"steps of {self.method.arm.name}", training.steps or train.steps)
        evaluate = own.iterations("train.evaluate", train.evaluate)
        batch = training.batch or dense.batch
        return replace(dense, end=steps, steps=steps, batch=batch, evaluate=evaluate)

    def _tuning(self, replicate: Replicate, searched: Run, tune: FineTune) -> Run:
        """The training of what a search has found, its mask fixed.

        The mask is the search's, as pruning to as many weights as there are leaves all of them,
        whatever scores them.
        """
        setting, keep = self.method.setting, searched.keep
        train, steps = setting.recipe.train, setting.iterations("fine_tune", tune.steps)
        assert isinstance(keep, int)
        seed = replicate.mask_seed
        pruning = Pruning(searched.id, USUAL_CRITERION, {}, searched.prunable, keep, seed)
        return replace(
            searched,
            search=None,
            pruning=pruning,
            start=Start("final", searched.id),
            end=steps,
            steps=steps,
            batch=replicate.dense.batch,
            evaluate=replicate.dense.evaluate,
            optimizer=plain((tune.optimizer or train.optimizer).resolved()),
            schedule=setting.schedule(tune.schedule or train.schedule),
        )


def _check_engine(arm: str, engine: str) -> None:
    if engine not in ("auto", "dense"):
        raise UserError(
            f"{arm} trains scores over frozen weights, which the engine {engine} does not: "
            f"write engine: auto, or leave {arm} out of compare.methods"
        )
