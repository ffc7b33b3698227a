import pytest

from strangler.seams.claims import Owner
from strangler.seams.stamps import Stamp, accepts


def here(owner: str, epoch: int = 7, side: str = "monolith") -> Owner:
    return Owner("payments", epoch, owner, side)


@pytest.mark.parametrize(
    ("owner", "stamped", "writes", "accepted"),
    [
        # the owner answers everything, whatever the proxy still believed
        ("monolith", 7, True, True),
        ("monolith", 7, False, True),
        ("monolith", 6, True, True),
        ("monolith", 6, False, True),
        # a stamp from the future: this side is the stale one, even if it believes to be the owner
        ("monolith", 8, True, False),
        ("monolith", 8, False, False),
        ("service", 8, False, False),
        # not the owner: no writes; reads only while both agree on the epoch
        ("service", 7, True, False),
        ("service", 6, True, False),
        ("service", 7, False, True),
        ("service", 6, False, False),
        # nobody owns
        ("none", 7, True, False),
        ("none", 7, False, True),
        ("none", 6, False, False),
    ],
)
@pytest.mark.parametrize("side", ["monolith", "service"])
def test_p20_matrix(side: str, owner: str, stamped: int, writes: bool, accepted: bool) -> None:
    seen = owner if side == "monolith" or owner == "none" else {"monolith": "service", "service": "monolith"}[owner]
    assert accepts(Stamp("payments", stamped, writes), here(seen, side=side)) is accepted


def test_a_stamp_survives_its_headers() -> None:
    stamp = Stamp("payments", 7, True)
    assert Stamp.of(stamp.headers(), "GET") == stamp


def test_without_access_the_method_tells() -> None:
    headers = {"X-Strangler-Context": "payments", "X-Strangler-Epoch": "3"}
    assert Stamp.of(headers, "GET") == Stamp("payments", 3, False)
    assert Stamp.of(headers, "PATCH") == Stamp("payments", 3, True)


def test_no_context_is_no_stamp() -> None:
    assert Stamp.of({"X-Strangler-Epoch": "3"}, "GET") is None


@pytest.mark.parametrize("wrong", [{"X-Strangler-Epoch": "x"}, {"X-Strangler-Epoch": "-1"}, {}, {"X-Strangler-Access": "all"}])
def test_a_senseless_stamp_is_named(wrong: dict[str, str]) -> None:
    epoch = {} if not wrong else {"X-Strangler-Epoch": "3"}
    with pytest.raises(ValueError, match="X-Strangler"):
        Stamp.of({"X-Strangler-Context": "payments", **epoch, **wrong}, "GET")
