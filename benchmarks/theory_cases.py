"""What `python -m benchmarks.theory` reports on, fixed and committed before its first run.

Cases in the `REPORTED_*` tuples are run with seeds of 1000 and more; the `DEVELOPMENT_*` ones (other digit pairs, other classes,
other sizes) were for writing the code, with seeds below 100. `fingerprint` is the hash of the reported list; a test holds
it fast and every stored cell carries it, so numbers of another list cannot slip into the page. `AFTERWARDS` came later and is
reported beside it, under its own hash.

Goals, also fixed beforehand. A point is a case, a verifier and a number of rows; both accuracies are means over its
seeds. Mixing: mean absolute error of the predicted accuracy of the ridge classifier (given the
real training rows, judged on real rows that are not the tested ones) at most 1 point, the worst at most 3; right sign of
"does adding help" in at least 90 % of the points whose measured gain exceeds 1 point. Collapse: predicted squared error of
random features within 10 %. The two-layer network and the language model have no formula of their own: they are held
against the rule real-only error + p_2^2 c^2, and the misses are the result.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

#: Synthetic rows, before verification, as a multiple of the real ones; 0 is real rows alone. A source with fewer is cut.
MULTIPLES = (0.0, 0.5, 2.0, 8.0, 20.0)
VERIFIERS = ("none", "real", "perfect")
FRACTIONS = (0.0, 0.001, 0.01, 0.05, 0.1, 0.5, 1.0)
FIRST_SEED = 1000


@dataclass(frozen=True)
class MixingCase:
    """Accuracy against the number of synthetic rows.

    `generator`: "fresh" and "self" are Gaussians, one a class, fitted on `generator_size` further real rows or on the
    training rows; any other name is a source of the data set. `label_noise` of the synthetic labels are flipped at
    random. `checked` real rows, seen by nobody else, train the real verifier. `ridge` is gamma (penalty gamma times all
    rows drawn), for features of mean variance 1.
    """

    name: str
    data: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    dim: int
    num_real: int
    generator: str
    generator_size: int
    label_noise: float
    ridge: float
    checked: int
    num_seeds: int


@dataclass(frozen=True)
class CollapseCase:
    """Squared error of one-hot digits against rows or width; `model` is "features" or "network".

    A point is every fraction of `fractions` x every n of `rows` x every width. Synthetic labels are the outputs of a
    network of `teacher_width` trained on `teacher_rows`.
    """

    name: str
    model: str
    rows: tuple[int, ...]
    widths: tuple[int, ...]
    fractions: tuple[float, ...]
    ridge: float
    teacher_rows: int
    teacher_width: int
    num_seeds: int


@dataclass(frozen=True)
class TextCase:
    """Loss on real text against characters read, for a character model on real text mixed with a model's samples.

    The generator (an LSTM of `generator_width`) reads `generator_steps` batches of the first `generator_chars` characters; a
    student reads the mix once, `tokens` characters, real ones from the rest.
    """

    name: str
    width: int
    fractions: tuple[float, ...]
    tokens: int
    generator_width: int
    generator_chars: int
    generator_steps: int
    num_seeds: int


@dataclass(frozen=True)
class RowsCase:
    """A second prediction of a case of random features, from every row's own leverage and misfit (`collapse_rows`).

    Written after the first measurements had missed the goal, on seeds below 100. It has a list and a hash of its own,
    measures nothing, and is held against the stored measurements of the same case and seed; the first one stays.
    """

    name: str
    of: CollapseCase
    num_seeds: int


def _gaussian(
    name: str, data: str, pair: str, dim: int, real: int, size: int, noise: float, **more: object
) -> MixingCase:
    """One digit pair, written 4/9 or odd/even; size 0 fits the generator on the training rows."""
    positive, negative = pair.split("/")
    names = {"odd": tuple("13579"), "even": tuple("02468")}
    settings: dict[str, object] = {"ridge": 0.1, "checked": 100, "num_seeds": 24} | more
    kind = "fresh" if size else "self"
    sides = (names.get(positive, (positive,)), names.get(negative, (negative,)))
    return MixingCase(name, data, *sides, dim, real, kind, size, noise, **settings)  # type: ignore[arg-type]


def _source(
    name: str, data: str, positive: str, rest: tuple[str, ...], real: int, source: str, noise: float
) -> MixingCase:
    """One class against the rest, rows of one of the data set's own generators."""
    return MixingCase(name, data, (positive,), rest, 50, real, source, 0, noise, 0.1, 100, 24)


TOPICS, MOODS = ("0", "1", "2", "3"), ("negative", "neutral", "positive")


def _rest(names: tuple[str, ...], positive: str) -> tuple[str, ...]:
    return tuple(name for name in names if name != positive)


REPORTED_MIXING: tuple[MixingCase, ...] = (
    _gaussian("digits odd/even, fresh 400, noise .2", "digits", "odd/even", 54, 100, 400, 0.2, num_seeds=30),
    _gaussian("digits odd/even, fresh 400, noise .4", "digits", "odd/even", 54, 100, 400, 0.4, num_seeds=30),
    _gaussian("digits odd/even, self, noise .2", "digits", "odd/even", 54, 200, 0, 0.2, num_seeds=30),
    _gaussian("digits 4/9, fresh 100, noise .3", "digits", "4/9", 40, 40, 100, 0.3, checked=60, num_seeds=30),
    _gaussian("mnist 4/9, fresh 1000, noise .3", "mnist", "4/9", 60, 200, 1000, 0.3),
    _gaussian("mnist 4/9, self, noise .1", "mnist", "4/9", 60, 200, 0, 0.1),
    _gaussian("mnist 3/5, fresh 100, noise .2", "mnist", "3/5", 60, 100, 100, 0.2),
    _gaussian("mnist 3/5, fresh 1000, noise .4, small ridge", "mnist", "3/5", 60, 100, 1000, 0.4, ridge=0.01),
    _gaussian("mnist 7/9, fresh 300, noise .1, large ridge", "mnist", "7/9", 60, 100, 300, 0.1, ridge=1.0),
    _gaussian("mnist 2/8, fresh 2000, noise .2, 120 features", "mnist", "2/8", 120, 150, 2000, 0.2),
    _source("adult, synthpop, noise 0", "adult", ">50K", ("<=50K",), 200, "synthpop", 0.0),
    _source("adult, synthpop, noise .3", "adult", ">50K", ("<=50K",), 200, "synthpop", 0.3),
    _source("adult, sdv_ctgan, noise .1", "adult", ">50K", ("<=50K",), 200, "sdv_ctgan", 0.1),
    _source(
        "agnews World, gpt-3.5-paraphrase, noise .2", "agnews", "0", _rest(TOPICS, "0"), 200, "gpt-3.5-paraphrase", 0.2
    ),
    _source("agnews Business, bert-insert, noise .1", "agnews", "2", _rest(TOPICS, "2"), 200, "bert-insert", 0.1),
    _source(
        "agnews Sci/Tech, llama-3-paraphrase, noise .3",
        "agnews",
        "3",
        _rest(TOPICS, "3"),
        200,
        "llama-3-paraphrase",
        0.3,
    ),
    _source("tweets positive, gpt-4, noise .1", "tweets", "positive", _rest(MOODS, "positive"), 250, "gpt-4", 0.1),
    _source("tweets negative, gpt-4, noise .3", "tweets", "negative", _rest(MOODS, "negative"), 250, "gpt-4", 0.3),
    _source(
        "tweets negative, llama-2-70b, noise 0", "tweets", "negative", _rest(MOODS, "negative"), 250, "llama-2-70b", 0.0
    ),
)
DEVELOPMENT_MIXING: tuple[MixingCase, ...] = (
    _gaussian("dev digits 3/8", "digits", "3/8", 40, 40, 100, 0.2, checked=60, num_seeds=4),
    _gaussian("dev mnist 1/7", "mnist", "1/7", 60, 150, 500, 0.3, num_seeds=4),
    _gaussian("dev mnist 0/6 self", "mnist", "0/6", 60, 150, 0, 0.2, num_seeds=4),
    MixingCase("dev adult arf", "adult", (">50K",), ("<=50K",), 50, 300, "synthcity_arf", 0, 0.2, 0.1, 100, 2),
    MixingCase(
        "dev agnews Sports", "agnews", ("1",), _rest(TOPICS, "1"), 50, 100, "back-translation", 0, 0.2, 0.1, 100, 2
    ),
    MixingCase(
        "dev tweets neutral", "tweets", ("neutral",), _rest(MOODS, "neutral"), 50, 150, "gpt-4", 0, 0.2, 0.1, 100, 2
    ),
)
REPORTED_COLLAPSE: tuple[CollapseCase, ...] = (
    CollapseCase(
        "features 300, error against rows", "features", (500, 1500, 5000, 15000), (300,), FRACTIONS, 1e-3, 1000, 64, 8
    ),
    CollapseCase(
        "features, error against width, 400 rows",
        "features",
        (400,),
        (50, 100, 200, 300, 550, 900),
        (0.0, 0.1, 0.5, 1.0),
        1e-4,
        1000,
        64,
        8,
    ),
    CollapseCase(
        "network 256, error against rows", "network", (500, 1500, 5000, 15000), (256,), FRACTIONS, 0.0, 1000, 64, 3
    ),
    CollapseCase(
        "network, error against width, 1500 rows",
        "network",
        (1500,),
        (16, 64, 512),
        (0.0, 0.1, 0.5, 1.0),
        0.0,
        1000,
        64,
        3,
    ),
)
DEVELOPMENT_COLLAPSE: tuple[CollapseCase, ...] = (
    CollapseCase("dev features", "features", (300, 1000), (150, 500), (0.0, 0.3, 1.0), 1e-3, 200, 32, 1),
    CollapseCase("dev network", "network", (1000, 4000), (128,), (0.0, 0.3, 1.0), 0.0, 200, 32, 1),
)
REPORTED_TEXT: tuple[TextCase, ...] = (
    TextCase("LSTM 48", 48, (0.0, 0.01, 0.1, 0.3, 0.5, 1.0), 800_000, 64, 100_000, 400, 3),
    TextCase("LSTM 128", 128, (0.0, 0.01, 0.1, 0.3, 0.5, 1.0), 800_000, 64, 100_000, 400, 3),
)
DEVELOPMENT_TEXT: tuple[TextCase, ...] = (TextCase("dev LSTM 32", 32, (0.0, 0.5), 200_000, 32, 50_000, 100, 1),)

AFTERWARDS: tuple[RowsCase, ...] = tuple(
    RowsCase(case.name, case, case.num_seeds) for case in REPORTED_COLLAPSE if case.model == "features"
)

Case = MixingCase | CollapseCase | TextCase | RowsCase
REPORTED: tuple[Case, ...] = (*REPORTED_MIXING, *REPORTED_COLLAPSE, *REPORTED_TEXT)
DEVELOPMENT: tuple[Case, ...] = (*DEVELOPMENT_MIXING, *DEVELOPMENT_COLLAPSE, *DEVELOPMENT_TEXT)


def fingerprint(cases: tuple[Case, ...] = REPORTED) -> str:
    """Twelve hexadecimal digits that change with any case, its order, the grid or the first seed."""
    listed = [(type(case).__name__, asdict(case)) for case in cases]
    return hashlib.sha256(repr((listed, MULTIPLES, VERIFIERS, FIRST_SEED)).encode()).hexdigest()[:12]
