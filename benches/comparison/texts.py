"""The words of the page between its tables.

Owns: nothing else. Must not: hold a figure that was measured.
"""

import measure
import servers

HEAD = """\
# adieu beside its peers

Made by `benches/compare --write`; do not edit. Its own words on what it does: `benches/compare
--help` and the files beneath `benches/comparison`."""

GOALS = """\
Processor time is judged by the lowest rounds, which other work on the machine disturbs least.
Figures of two machines say nothing about each other; ratios within one run do, and differences
below a tenth mean little."""

SMALL = """\
Microseconds of the server's processor time for one request: median / lowest of the rounds, and in
brackets the lowest as a multiple of the cheapest peer's. `c`: the server ended connections that
were to stay. `ka` is keep-alive with so many connections, each with one request on its way;
`pipe16` 16 connections with 16 requests each; `close` a new connection for each request, 32 at
once, which is over when the server's FIN has come; `n304` and `e404` 304 and 404 on 64 connections.
The file has 1 KiB. In the plots the bar ends at the lowest round, the line at the median."""

LARGE = """\
The same in seconds of processor time for a GiB, one connection."""

RATES = """\
The best round: requests per second, or MiB/s for large bodies. On a machine that has other work
these only rank; where the client is slower than the server, they show the client."""

CALLS = """\
Counted by `strace -c -f` over a fixed number of requests, the wait for events among them. `close`
is everything from accept to close."""

MEMORY = f"""\
KiB, summed over the processes of a server: private dirty pages, PSS and RSS of `smaps_rollup`.
"Few slots" is a start with room for {servers.FEW_SLOTS} connections, "all slots" one with room for
those that are held. Idle connections have had one answer each. User bytes of an idle connection are
the dirty pages with them, less those of the start with few slots, for each connection beyond
{servers.FEW_SLOTS}: so slots that are made at the start count, too. A half-sent head is a request
whose last field has no end; the figure is the highest seen in {measure.WATCH_S} s
({measure.WATCH_QUICK_S} in a quick run), its user bytes the growth since the start for each that
was sent, and "held" how many the server had not ended then. "After" is when all clients had
left."""

START = """\
From exec to the end of the first answer with 200, and what the server had spent then."""

METHOD = """\
The servers have one processor, and the client (`benches/load.rs`) another. All servers of a case
run at the same time and are asked in turns, another one first in each round; whoever is not asked
sleeps. Processor time is that of all tasks of the server
(`/proc/PID/task/*/schedstat`), read before the first request of a round and after the last answer,
when the server is at rest. What the kernel does for the server's calls is in it; on the loopback
that includes the delivery into the client's socket. Before a case is measured each server must
answer it rightly, byte by byte, and in the rounds the client compares status and length of every
answer.
Connections are opened and have had an answer before a round begins, but for large bodies. A client
with 16 requests on its way sends the next 16 when all answers came.

The two floors answer without being servers: one is recv and send on a bare epoll, the other mio,
slab and httparse reading every head. Nobody can be cheaper than the first by much.

The peers are set up by `benches/comparison/servers.py`: sendfile and open files on, no log, no
bound that a round would meet; nginx without `tcp_nopush`, with which pipelined answers wait for
each other. Queues of listeners have 4,096 places. adieu is told what stands below; all else is its
default."""
