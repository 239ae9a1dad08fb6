"""The words of the page between its tables.

Owns: nothing else. Must not: hold a figure that was measured.
"""

import clients
import link
import servers
import swarms

HEAD = """\
# The goodbye, measured

Made by `lab/run`; do not edit. Its own words on what it does: `lab/run --help` and the files
beside it. What the figures mean for somebody who builds adieu: [close.md](../close.md)."""

SCENARIOS = f"""\
## Scenarios

`19/20, 2 resets`: of 20 answers that were owed 19 arrived whole, and 2 clients saw a reset, as an
error of a send or of a read, or behind the end. A client on Linux still reads what came before a
reset; others may lose it, and many clients report the error and not the answer. So an answer is
safe only where there is no reset. `after 30 s`: so long the upload went on until it was cut. `as
due`: the link cannot carry the upload in the 30 s that a goodbye of adieu may take, and its client
was cut then; peers have such bounds too, and theirs are not excused here. `given up`: the client
did so, after {clients.PATIENCE_S} s."""

TIMES = """\
The middle of the seconds that clients took, from the connect to the end of the answer, where
everything was written and the answer arrived:"""

RACE = f"""\
A second request is sent at about the moment at which the server gives an idle connection up
({servers.KEEP_IDLE_S} s; measured first, for some servers round it up). A third of them come in
two pieces: the first byte, and the rest {clients.PAUSE_S * 1000:.0f} ms behind it or, in every
other wave, more than a second behind it, unless the end comes meanwhile. A request must be
answered, or its client must see FIN and no byte of an answer: then it knows that it may ask again.
A request that was on its way when the server had already closed may be met by a reset; its client
has seen FIN before it, and how many saw both stands beside. Neither a client nor the link can tell
when a server has read a byte. What is held against adieu is a FIN half a second and more behind
the arrival of the first byte, where the link loses nothing. A FIN sooner behind it is not
judged."""

ENDLESS = """\
A refused upload in chunks that never ends, as fast as it goes, on the loopback. The client stops
at 1,024 MiB or after 45 s. What left the client is more than what the server read: the rest stood
in the buffers of both."""

SWARMS = f"""\
## Swarms

2,000 clients from {len(link.SWARM)} addresses, over the link of 1 ms; all servers have room for
them, and a queue of {servers.BACKLOG} at the listener where it can be set. The good client asks
for 512 bytes on a new connection every 50 ms, from the server's own side, so that it waits for
the server and not for a link full of flood. A socket is *owned* as long as a process has it.
*Last one*: seconds from the moment when the last client had its answer, or had sent what it sends
once (or when all machines were gone), to the last sample in which a socket was owned. *Kernel*:
what the kernel holds for the queues of all these sockets, its peak (SO_MEMINFO). *Process*:
growth of memory of its own (RssAnon), summed over its processes. *Turned away*: clients that got
no connection or no first answer. A watch ends {swarms.WATCH_S} s after the last client has come,
or when everything is quiet; `left` is what was there then, and *nobody's, left* what the kernel
still had of closed sockets. "Nobody's" is what the kernel keeps behind close(2), and in the plots
also what waits in the queue of the listener.

What adieu must do is judged by each client's own time, not by that of the last one, and only where
the observer has seen the clients' sockets and was never late by more than 1 s. The half-sent heads
take all of adieu's buffers and never all of its slots: {servers.SLOTS:,} slots are more than 2,000
clients. Full slots are not measured here."""

METHOD = f"""\
## How it is measured

Each cell has its own two network namespaces, its own link and its own server, and nothing else in
them. The link is two TUN devices and a process that carries packets of {link.MTU_BYTES} bytes
between them: a queue with a bound, a rate, seeded loss and a delay, for each direction. The times
are round trips. On the loopback there is no link.

All servers have the same files and the same times where they have a setting for them: an idle
connection is kept {servers.KEEP_IDLE_S} s, a head may take {servers.HEAD_S} s, and a client that
takes nothing is given {servers.WRITE_S} s. Everything about the goodbye is their default. The
configurations stand in `lab/servers.py`. Cells on slow links run side by side, swarms and the
endless upload alone.

`-` in a table: a server that closes after each answer has no pipeline and no race, and busybox
has no pages of its own for its refusals."""
