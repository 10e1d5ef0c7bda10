import asyncio

from voicekiosk.kiosk.errands import Errands


class Scene:
    def __init__(self) -> None:
        self.quiet = False
        self.done: list[str] = []
        self.errands = Errands(lambda: self.quiet)
        self.errands.start(asyncio.get_running_loop())

    def job(self, name: str, after=None):
        async def run() -> None:
            self.done.append(name)
            if after is not None:
                after()

        return run

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_a_job_waits_until_it_is_quiet():
    scene = Scene()
    scene.errands.want("a", scene.job("a"))
    scene.errands.go_on()
    await scene.settle()
    assert scene.done == []
    scene.quiet = True
    scene.errands.go_on()
    await scene.settle()
    assert scene.done == ["a"]


async def test_a_job_wanted_again_is_done_once_and_last():
    scene = Scene()
    for name in ("a", "b", "a"):
        scene.errands.want(name, scene.job(name))
    scene.quiet = True
    scene.errands.go_on()
    await scene.settle()
    assert scene.done == ["b", "a"]


async def test_a_press_in_between_holds_up_the_rest():
    scene = Scene()

    def press() -> None:
        scene.quiet = False

    scene.errands.want("a", scene.job("a", after=press))
    scene.errands.want("b", scene.job("b"))
    scene.quiet = True
    scene.errands.go_on()
    await scene.settle()
    assert scene.done == ["a"]
    scene.quiet = True
    scene.errands.go_on()
    await scene.settle()
    assert scene.done == ["a", "b"]


async def test_a_job_that_fails_is_told_and_does_not_hold_up_the_others(caplog):
    scene = Scene()

    def fail() -> None:
        raise OSError("no such device")

    scene.errands.want("the microphone", fail)
    scene.errands.want("b", scene.job("b"))
    scene.quiet = True
    scene.errands.go_on()
    await scene.settle()
    assert scene.done == ["b"]
    assert "the microphone failed" in caplog.text


async def test_nothing_is_done_after_the_end():
    scene = Scene()
    scene.errands.want("a", scene.job("a"))
    scene.quiet = True
    scene.errands.go_on()
    scene.errands.close()
    await scene.settle()
    scene.errands.go_on()
    await scene.settle()
    assert scene.done == []
