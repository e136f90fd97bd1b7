"""The heartbeat finds the longest standstill and starts anew for each action."""

from benchmarks.speed import heartbeat
from benchmarks.speed.heartbeat import Heartbeat


def test_the_longest_standstill_counts(monkeypatch):
    now = {"wall": 0.0, "used": 0.0}
    monkeypatch.setattr(heartbeat.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(heartbeat.time, "thread_time", lambda: now["used"])
    heart = Heartbeat()
    heart.start()
    for wall, used in ((0.005, 0.001), (0.305, 0.101), (0.31, 0.102), (0.4, 0.19)):
        now.update(wall=wall, used=used)
        heart.beat()
    assert round(heart.longest.wall) == 300
    assert round(heart.longest.processor) == 100
    heart.start()
    assert heart.longest.wall == 0
