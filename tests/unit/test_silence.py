"""Whether UDP clients have vanished, by a fake clock."""

from drainmon.drain.silence import Silence


def seen(*looks: tuple[float, int, int]) -> Silence:
    silence = Silence()
    for look in looks:
        silence.saw(*look)
    return silence


def test_clients_that_do_not_answer_have_vanished() -> None:
    silence = seen((0.0, 10, 90), (1.0, 10, 91), (5.0, 10, 95), (8.0, 10, 95))
    assert not silence.proves_gone(10, quic=True)
    silence.saw(10.0, 10, 96)
    assert silence.proves_gone(10, quic=True)
    silence.saw(10.5, 11, 99)
    assert not silence.proves_gone(10, quic=True)


def test_a_slow_response_of_nginx_is_not_a_vanished_client() -> None:
    silence = seen((0.0, 10, 90), (1.5, 10, 91), (60.0, 10, 91))  # nginx has acknowledged
    assert not silence.proves_gone(10, quic=True)
    assert silence.proves_gone(10, quic=False)


def test_a_response_that_has_just_begun_is_not_unanswered() -> None:
    silence = seen((0.0, 10, 90), (30.0, 10, 91))
    assert not silence.proves_gone(10, quic=True)
    silence.saw(30.1, 11, 92)
    silence.saw(50.0, 11, 92)
    assert not silence.proves_gone(10, quic=True)
    silence.saw(51.0, 11, 93)
    silence.saw(53.0, 11, 93)
    assert silence.proves_gone(10, quic=True)


def test_an_infinite_limit_gives_up_no_client() -> None:
    silence = seen((0.0, 10, 90), (1e6, 10, 95))
    assert not silence.proves_gone(float("inf"), quic=False)
