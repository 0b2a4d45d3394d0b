"""A training run: its reasoner, how far it has come, and the files of its directory."""

import contextlib
import dataclasses
import functools
import math
import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from nar.config import Config
from nar.evaluation.evaluate import evaluate
from nar.evaluation.evaluation import Evaluation
from nar.model import checkpoint
from nar.model.batch import Batch
from nar.model.options.constants import find_constants
from nar.model.reasoner import Reasoner
from nar.nn.processor import Processor
from nar.results.run_directory import Metrics, open_run, provenance
from nar.results.schema import SCHEMA, read
from nar.results.trackers import Trackers
from nar.text_format import counted
from nar.traces.spec import Location, Stage
from nar.training import distributed
from nar.training.optimizer.average import Average
from nar.training.optimizer.chosen import optimizer
from nar.training.tasks import Task, settled, tasks, training_batch, validation_set

CONSTANTS_FROM = 20  # training batches in which constants are looked for


class TrainingRun:
    """One seed of one set of settings. Only the process that `ranks` calls first writes files."""

    def __init__(self, config: Config, on: torch.device, ranks: distributed.Ranks) -> None:
        """ValueError where the settings do not fit each other, or what is already in the run directory."""
        self.tasks: list[Task] = tasks(config)
        self.config = config = settled(config)
        self.on, self.ranks = on, ranks
        self.reasoner = Reasoner.from_config(config)
        if config.init_processor is not None and not (config.resume and (config.run_dir / "last.pt").is_file()):
            source = checkpoint.read(config.init_processor).build().processor
            copy_processor(source, self.reasoner.processor, f"--init-processor {config.init_processor}")
        if config.freeze == "processor":
            self.reasoner.processor.requires_grad_(False)
        optimizer(config, self.reasoner.parameters())  # one that does not exist is said before a folder is made
        self.directory = config.run_dir
        self._trackers = Trackers(config if ranks.first else None)  # before anything is written: one may not exist
        self.metrics: Metrics | None = None
        with ranks.first_alone():
            resumed = open_run(config, write=ranks.first)
        if config.candidates:
            for task in self.tasks:  # before anything is learned, and the same whoever shares the batches
                batches = [training_batch(task.algorithm, config, step) for step in range(CONSTANTS_FROM)]
                find_constants(self.reasoner.coders(task.name)[1].choices, batches)
        self.reasoner.to(on)
        if config.compile:
            self.reasoner.processor.compile(dynamic=True)
        self.step, self.seconds = 0, 0.0
        self.best: dict[str, Any] = {"step": -1, "score": -math.inf, "loss": math.inf}
        self.average = Average(self.reasoner, config.average) if config.average else None
        self.optimizer: dict[str, Any] | None = None  # its state, while no learner holds it
        self.trained_with: list[int] = []  # the seeds that were computed together, if they were
        self.logged: list[torch.Tensor] = []  # losses that have not been looked at yet: reading one waits for a GPU
        self.resumed = resumed is not None
        if resumed is not None:
            if (before := resumed.get("processes", ranks.batches)) != ranks.batches:
                raise ValueError(
                    f"{self.directory} was trained by {counted(before, 'process', 'processes')} of torchrun, each with "
                    f"a batch of its own; go on with as many (now {ranks.batches}), or choose another --out"
                )
            self.reasoner.load_parameters(resumed["model"], self.directory / "last.pt")
            self.optimizer = resumed["optimizer"]
            self.step, self.seconds = resumed["step"], resumed["seconds"]
            self.logged = list(torch.as_tensor(resumed.get("losses", ()), device=on))
            if self.average is not None:
                self.average.load(resumed["average"])
            if self.best_file.is_file():
                best = checkpoint.load(self.best_file)["best"]
                if best["step"] <= self.step:  # a newer one beat all before it: the same steps find it again
                    self.best = best

    @property
    def unseen(self) -> dict[str, list[str]]:
        """By algorithm, what lives on edges and never reaches a processor that makes no use of their features."""
        if self.reasoner.processor.uses_edges:
            return {}
        found = {
            name: [
                probe for probe, p in spec.items()
                if p.location is Location.EDGE and p.stage is not Stage.OUTPUT
                and not (probe == "adj" and self.reasoner.processor.uses_adjacency)
            ]
            for name, spec in self.reasoner.specs.items()
        }  # fmt: skip
        return {name: probes for name, probes in found.items() if probes}

    @property
    def best_file(self) -> Path:
        return self.directory / "best.pt"

    @property
    def stopped_early(self) -> bool:
        """Has validation found nothing better for long enough? Only the process that writes files knows."""
        patience = self.config.patience * self.config.val_every
        return 0 < patience <= self.step - max(self.best["step"], 0)

    @property
    def done(self) -> bool:
        return self.step >= self.config.steps or self.stopped_early

    def took_step(self, loss: torch.Tensor, seconds: float) -> None:
        """Count a training step; `seconds` of training so far."""
        self.logged.append(loss)
        self.step, self.seconds = self.step + 1, seconds
        if self.average is not None:
            self.average.update(self.step)

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        """While it lasts, the reasoner has the averaged parameters, if there are any."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    def open_metrics(self) -> Metrics:
        """metrics.jsonl, metrics.csv and the trackers, from the step that the run is at."""
        of_run = {"config": self.config, "trackers": self._trackers}
        self.metrics = Metrics(self.directory / "metrics.jsonl", keep_until=self.step, **of_run)
        return self.metrics

    def mean_loss(self) -> float:
        """Of the steps since it was last asked for; ValueError where one is not a finite number."""
        losses = self.check_losses()
        self.logged.clear()
        return sum(losses) / len(losses)

    def check_losses(self) -> list[float]:
        """The losses that have not been looked at yet; ValueError where one is not a finite number."""
        losses = torch.stack(self.logged).tolist() if self.logged else []
        for place, loss in enumerate(losses):
            if not math.isfinite(loss):
                step = self.step - len(losses) + place + 1
                saved = (self.directory / "last.pt").is_file()
                raise ValueError(
                    f"the loss became {loss} at step {step} (seed {self.config.seed}); lower --learning-rate (now "
                    f"{self.config.learning_rate}) or --grad-clip"
                    + (f" in another --out; {self.directory} keeps the checkpoints made before" if saved else "")
                )
        return losses

    @functools.cached_property
    def validation(self) -> list[list[Batch]] | None:
        """This process's share of the validation graphs of every task."""
        sets = self.ranks.validation_share(lambda: [validation_set(t.algorithm, self.config) for t in self.tasks])
        return None if sets is None else [[batch.to(self.on) for batch in batches] for batches in sets]

    def score_validation(self) -> list[Evaluation] | None:
        """The scores of every task on this process's share; None where it has none."""
        self.ranks.start_equal(self.reasoner.buffers())  # statistics over shares, which differ: those that are saved
        if self.validation is None:
            return None
        with self._averaged():
            found = [
                evaluate(self.reasoner, task.algorithm, batches=batches, loss=True, validity=False)
                for task, batches in zip(self.tasks, self.validation, strict=True)
            ]
        if self.ranks.world == 1:
            return found
        # those of hints, which are many, need not travel
        return [dataclasses.replace(score, hints={}, num_running=[], first_errors=None) for score in found]

    def validate(self, shares: Iterable[list[Evaluation] | None], mean_loss: float, facts: dict[str, Any]) -> None:
        """Write the metrics, with the scores of all shares, and keep the parameters if they are the best so far."""
        found = [functools.reduce(operator.add, parts) for parts in zip(*filter(None, shares), strict=True)]
        score, loss = (sum(getattr(f, name) for f in found) / len(found) for name in ("score", "loss"))
        record = {"step": self.step, "loss": mean_loss, "seconds": round(self.seconds, 2), **facts}
        record |= {"validation_score": score, "validation_loss": loss}
        for task, of_task in zip(self.tasks, found, strict=True):
            if len(found) > 1:
                record |= {f"{task.name}/validation_score": of_task.score, f"{task.name}/validation_loss": of_task.loss}
            prefix = f"{task.name}/" if len(found) > 1 else ""
            record |= {f"{prefix}{name}": sum(v) / len(v) for name, v in of_task.measures.items()}
        assert self.metrics is not None
        self.metrics.write(record)
        least = math.inf if math.isnan(self.best["loss"]) else self.best["loss"]
        if (score, -loss) > (self.best["score"], -least):  # ties: the lower validation loss; any is lower than NaN
            by_task = {task.name: f.score for task, f in zip(self.tasks, found, strict=True)}
            self.best = {"step": self.step, "score": score, "loss": loss, "each": by_task}
            self.save_best()

    def save_last(self, optimizer: dict[str, Any]) -> None:
        """The checkpoint from which the run can be resumed."""
        losses = self.check_losses()  # never keep parameters that are no numbers
        state = {"model": self._parameters(), "optimizer": optimizer, "config": self.config.to_dict()}
        state |= {"step": self.step, "seconds": self.seconds, "processes": self.ranks.batches}
        state["losses"] = losses  # since the last validation, whose mean is a row of metrics
        state |= {"average": self.average.values} if self.average is not None else {}
        checkpoint.save(self.directory / "last.pt", state)

    def save_best(self) -> None:
        with self._averaged():
            state = {"model": self._parameters(), "config": self.config.to_dict(), "best": self.best}
            checkpoint.save(self.best_file, state)

    def _parameters(self) -> dict[str, torch.Tensor]:
        """As they would be alone: of stacked ones, only this run's row is written."""
        state = self.reasoner.state_dict()
        return {name: p.clone() if p.untyped_storage().nbytes() > p.nbytes else p for name, p in state.items()}

    def load_best(self) -> None:
        """Take the parameters that did best in validation; without a validation, the last ones are kept as the best."""
        if self.best["step"] < 0:
            self.best = {"step": self.step, "score": -math.inf, "loss": math.inf}
            self.save_best()
        self.reasoner.load_state_dict(checkpoint.load(self.best_file, self.on)["model"])

    def earlier_evaluations(self) -> list[Any]:
        """Those of the same parameters, from before the run was resumed."""
        if not self.resumed or not (self.directory / "results.json").is_file():
            return []
        found = read(self.directory)
        return list(found["evaluations"]) if found["run"]["best_step"] == self.best["step"] else []

    def results(self, command: str, setup: dict[str, str]) -> dict[str, Any]:
        """results.json without evaluations; `setup`: how the device was prepared."""
        config, validated = self.config, math.isfinite(self.best["score"])
        return {
            "schema": SCHEMA,
            "run": {
                "algorithms": [task.name for task in self.tasks],
                "processor": config.processor,
                "seed": config.seed,
                "parameters": self.reasoner.parameter_count(),
                "processes": self.ranks.batches,
                "steps": self.step,
                "steps_planned": config.steps,
                "interrupted": not self.done,
                **({"stopped_early": True} if self.step < config.steps and self.stopped_early else {}),
                "best_step": self.best["step"],
                "best_validation": self.best["score"] if validated else None,
                "validation": self.best.get("each", {self.tasks[0].name: self.best["score"]}) if validated else {},
                "train_seconds": round(self.seconds, 2),
                "train_sizes": {task.name: list(task.train_sizes) for task in self.tasks},
                "validation_size": {task.name: task.val_size for task in self.tasks},
                **({"unseen": self.unseen} if self.unseen else {}),
                **({"trained_with_seeds": self.trained_with} if self.trained_with else {}),
            },
            "config": config.to_dict(),
            "command": command,
            "provenance": provenance(self.on) | setup,
            "evaluations": [],
        }


def copy_processor(source: Processor, target: Processor, what: str) -> None:
    """Give a processor the parameters of another; ValueError, beginning with `what`, where it is another network."""
    if type(source) is not type(target):
        raise ValueError(f"{what}: that processor is a {type(source).__name__}, this run's a {type(target).__name__}")
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"{what}: its parameters have other shapes; --hidden and the processor's options must be those of that run"
        ) from error
    theirs, ours = _options(source), _options(target)
    if differ := [name for name in ours if ours[name] != theirs.get(name)]:
        raise ValueError(f"{what}: that processor was made with other options ({', '.join(differ)})")


def _options(processor: Processor) -> dict[str, Any]:
    """What a processor was made with, beside the shapes of its parameters."""
    plain = (bool, int, float, str, tuple)
    return {
        n: v for n, v in vars(processor).items() if n != "training" and not n.startswith("_") and isinstance(v, plain)
    }
