"""The naive reference as a program: `python -m bench.naive.server DSN` (aiohttp, asyncpg, uvloop).

It prints the port that it listens on and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import Final

import asyncpg
import msgspec
import uvloop
from aiohttp import web

from bench.naive.desk import NaiveDesk
from bench.naive.message import NaiveSale

CONNECTIONS: Final = 16
"""Connections to the database: as many as pgbench has clients."""


async def serve(dsn: str) -> None:
    """Serve POST /sale until SIGTERM."""
    pool = await asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS)
    desk = NaiveDesk(pool)

    async def sale(request: web.Request) -> web.Response:
        outcome = await desk.decide(msgspec.json.decode(await request.read(), type=NaiveSale))
        body = msgspec.json.encode({"outcome": outcome})
        status = 200 if outcome in ("approved", "repeated") else 422
        return web.Response(body=body, status=status, content_type="application/json")

    application = web.Application()
    application.router.add_post("/sale", sale)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(listener.getsockname()[1], flush=True)
    await stop.wait()
    await runner.cleanup()
    await pool.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
