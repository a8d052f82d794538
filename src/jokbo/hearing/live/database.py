"""The database of a server: an index of the log, and what signing in needs. SQLite in WAL mode, or PostgreSQL by URL.

The index can be made again from the log at any time, and is where it is behind or does not fit. No mail address is
kept anywhere, only keyed digests of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jokbo.errors import MissingExtraError, UsageError
from jokbo.hearing.case.entry import Entry

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

BATCH = 1000


def open_database(url: str) -> Database:
    """Open a database, and make its tables where they are not there.

    Parameters
    ----------
    url : str
        ``"sqlite:///path"`` or ``"postgresql+psycopg://user@host/name"``.

    Raises
    ------
    MissingExtraError
        SQLAlchemy or the driver is not installed.
    UsageError
        The database cannot be opened.
    """
    try:
        from sqlalchemy import create_engine, event
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        raise MissingExtraError('a live hearing needs: pip install "jokbo[hearing]"') from None
    if url.startswith("postgresql://"):
        url = "postgresql+psycopg://" + url.removeprefix("postgresql://")
    try:
        # A database elsewhere may be gone or silent: nobody waits for it longer than a few seconds.
        away = {"pool_pre_ping": True, "pool_timeout": 5, "connect_args": {"connect_timeout": 5}}
        engine = create_engine(url, **({} if url.startswith("sqlite") else away))
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _quicken)
        return Database(engine)
    except ImportError:
        raise MissingExtraError('PostgreSQL needs: pip install "jokbo[hearing-postgres]"') from None
    except (SQLAlchemyError, ValueError) as error:
        raise UsageError(f"cannot open the database: {str(error).splitlines()[0][:200]}.") from None


def _quicken(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # The log is flushed to the disk before anything is acknowledged; this is its index.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


class Database:
    """Tables of a server.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    """

    def __init__(self, engine: Engine) -> None:
        from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table

        self._engine = engine
        tables = MetaData()
        self._entries = Table(
            "entries",
            tables,
            Column("sequence", BigInteger, primary_key=True, autoincrement=False),
            Column("digest", String(64), nullable=False),
            Column("kind", String(32), nullable=False),
            Column("account", String(64), nullable=False),
            Column("about", BigInteger),
            Column("time", String(24), nullable=False),
            Index("entries_by_account", "account", "kind"),
        )
        self._people = Table(
            "people",
            tables,
            Column("mailbox", String(64), primary_key=True),
            Column("account", String(64), nullable=False),
        )
        self._codes = Table(
            "codes",
            tables,
            Column("place", String(64), primary_key=True),
            Column("code", String(64), nullable=False),
            Column("expires", Float, nullable=False),
            Column("tries", Integer, nullable=False),
        )
        self._ended = Table(
            "ended",
            tables,
            Column("identity", String(64), primary_key=True),
            Column("expires", BigInteger, nullable=False),
        )
        tables.create_all(engine)

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    def follow(self, entries: Sequence[Entry]) -> int:
        """Bring the index up to the log; made again where it is not an index of this log.

        Returns
        -------
        int
            Entries that were added.
        """
        from sqlalchemy import delete, func, select

        table = self._entries
        with self._engine.begin() as connection:
            count, last = connection.execute(select(func.count(), func.max(table.c.sequence))).one()
            held = count if last is not None and last + 1 == count else 0
            if held:
                digest = connection.scalar(select(table.c.digest).where(table.c.sequence == held - 1))
                held = held if held <= len(entries) and entries[held - 1].digest == digest else 0
            if not held and count:
                connection.execute(delete(table))
            for start in range(held, len(entries), BATCH):
                self._add(connection, entries[start : start + BATCH])
        return len(entries) - held

    def _add(self, connection: Connection, entries: Sequence[Entry]) -> None:
        from sqlalchemy import insert

        rows = [
            {
                "sequence": each.sequence,
                "digest": each.digest,
                "kind": each.kind,
                "account": each.author.account,
                "about": each.about,
                "time": each.time,
            }
            for each in entries
        ]
        if rows:
            connection.execute(insert(self._entries), rows)

    def by_account(self, account: str, *, most: int = 200) -> list[int]:
        """Numbers of what an account entered, votes left out, newest first."""
        from sqlalchemy import select

        table = self._entries
        wanted = (
            select(table.c.sequence)
            .where(table.c.account == account, table.c.kind != "vote")
            .order_by(table.c.sequence.desc())
            .limit(most)
        )
        with self._engine.connect() as connection:
            return [int(number) for (number,) in connection.execute(wanted)]

    def votes_of(self, account: str) -> int:
        """How many votes an account entered, changed ones counted again."""
        from sqlalchemy import func, select

        table = self._entries
        wanted = select(func.count()).where(table.c.account == account, table.c.kind == "vote")
        with self._engine.connect() as connection:
            return int(connection.scalar(wanted) or 0)

    def name_mailbox(self, mailbox: str, account: str) -> None:
        """Let a mailbox (its mark) sign in as an account, and none that did before."""
        from sqlalchemy import delete

        table = self._people
        self._put(table, "mailbox", mailbox=mailbox, account=account)
        with self._engine.begin() as connection:
            connection.execute(delete(table).where(table.c.account == account, table.c.mailbox != mailbox))

    def named_mailboxes(self) -> dict[str, str]:
        """Mark of a mailbox -> the account that the host named for it."""
        from sqlalchemy import select

        with self._engine.connect() as connection:
            rows = connection.execute(select(self._people.c.mailbox, self._people.c.account))
            return {str(mailbox): str(account) for mailbox, account in rows}

    def _put(self, table: Table, key: str, **values: Any) -> None:
        """A row, in the place of the one with the same key; whoever puts it there at the same moment is no error."""
        from sqlalchemy import insert, update
        from sqlalchemy.exc import IntegrityError

        put = update(table).where(table.c[key] == values[key]).values(**values)
        try:
            with self._engine.begin() as connection:
                if connection.execute(put).rowcount == 0:
                    connection.execute(insert(table).values(**values))
        except IntegrityError:
            with self._engine.begin() as connection:
                connection.execute(put)

    def account_of(self, mailbox: str) -> str | None:
        """The account that a mailbox (its mark) signs in as, where the host named one."""
        from sqlalchemy import select

        with self._engine.connect() as connection:
            found = connection.scalar(select(self._people.c.account).where(self._people.c.mailbox == mailbox))
        return None if found is None else str(found)

    def keep_code(self, place: str, code: str, *, expires: float, tries: int, now: float) -> None:
        """Keep the mark of a code for one mailbox in one browser; the one before is void. Codes that are over go."""
        from sqlalchemy import delete

        table = self._codes
        with self._engine.begin() as connection:
            connection.execute(delete(table).where(table.c.expires < now))
        self._put(table, "place", place=place, code=code, expires=expires, tries=tries)

    def forget_code(self, place: str) -> None:
        """Take a code away."""
        from sqlalchemy import delete

        with self._engine.begin() as connection:
            connection.execute(delete(self._codes).where(self._codes.c.place == place))

    def spend_try(self, place: str, *, now: float) -> str | None:
        """Take one try from a code and give its mark; None where there is no code or no try left."""
        from sqlalchemy import select, update

        table = self._codes
        with self._engine.begin() as connection:
            spent = connection.execute(
                update(table)
                .where(table.c.place == place, table.c.tries > 0, table.c.expires > now)
                .values(tries=table.c.tries - 1)
            )
            if spent.rowcount != 1:
                return None
            return str(connection.scalar(select(table.c.code).where(table.c.place == place)))

    def void_code(self, place: str, code: str) -> bool:
        """Use a code up; False where somebody did already."""
        from sqlalchemy import delete

        table = self._codes
        with self._engine.begin() as connection:
            gone = connection.execute(delete(table).where(table.c.place == place, table.c.code == code))
            return bool(gone.rowcount == 1)

    def end_session(self, identity: str, expires: int) -> None:
        """Remember that a session was ended."""
        self._put(self._ended, "identity", identity=identity, expires=expires)

    def ended_sessions(self, *, now: float) -> dict[str, int]:
        """Sessions that were ended and would not be over yet."""
        from sqlalchemy import select

        table = self._ended
        with self._engine.connect() as connection:
            rows = connection.execute(select(table.c.identity, table.c.expires).where(table.c.expires > now))
            return {str(identity): int(expires) for identity, expires in rows}
