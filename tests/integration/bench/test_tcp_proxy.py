"""The network that hands over late is late by the same for all."""

import asyncio

from tests.rigs.tcp_proxy import TcpProxy

DELAY_S = 0.1


async def test_what_comes_while_an_earlier_piece_waits_is_not_later_for_that() -> None:
    arrived: list[float] = []
    now_s = asyncio.get_running_loop().time

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            arrived.append(now_s())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, TcpProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        proxy.slow(delay_s=DELAY_S)
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        sent = []
        for _ in range(5):
            sent.append(now_s())
            writer.write(b"x")
            await asyncio.sleep(DELAY_S / 4)
        writer.write_eof()
        while len(arrived) < 5:
            await asyncio.sleep(0.01)
        writer.close()
    delays_s = [there - here for here, there in zip(sent, arrived, strict=True)]
    assert min(delays_s) >= DELAY_S - 0.005
    # The last was sent while the first still waited: it would be half a delay later than that, or more.
    assert sorted(delays_s)[1] < 1.4 * DELAY_S
