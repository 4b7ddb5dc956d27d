"""W6's queries, each a workload."""

from __future__ import annotations

from benchmarks.w6 import data, schemas
from benchmarks.workload import Family, Side, Table, Workload

NEXMARK = Family(
    "W6",
    "Nexmark",
    "Persons, auctions and bids (1 : 3 : 46) as JSON Lines, in the order of their times, a millisecond apart → a "
    "query's results in Parquet. `beam_nexmark` are the queries that come with Beam, unchanged, in batch, with their "
    "own parser and the arguments of their launcher. They run on FnApiRunner, as ours do, but for three that it can't "
    "run: it loses what waits for the thirtieth row of a key in 3 (here: Prism), and can't encode the windows of 4 and "
    "9 (here: BundleBasedDirectRunner). Ours are the same queries in this package's transforms in a Beam job, with the "
    "fields that a query needs, each event judged by its contract. Left out: 6, a seller's mean of the last ten "
    "prices, fails in Beam, which negates a `Timestamp` there, and we have no aggregate of the last ten; 10 writes no "
    "files in Beam's Python; 12 goes by the clock, and a batch by none.",
)

_EVENTS = """(SELECT * RENAME (emailAddress AS email_address, creditCard AS credit_card, dateTime AS date_time,
        itemName AS item_name, initialBid AS initial_bid)
    FROM read_json('{source}', format = 'newline_delimited', columns = {id: 'BIGINT', name: 'VARCHAR',
        emailAddress: 'VARCHAR', creditCard: 'VARCHAR', city: 'VARCHAR', state: 'VARCHAR', dateTime: 'BIGINT',
        extra: 'VARCHAR', itemName: 'VARCHAR', description: 'VARCHAR', initialBid: 'BIGINT', reserve: 'BIGINT',
        expires: 'BIGINT', seller: 'BIGINT', category: 'BIGINT', auction: 'BIGINT', bidder: 'BIGINT',
        price: 'BIGINT'}))"""
_PERSONS = f"(FROM {_EVENTS} WHERE name IS NOT NULL)"
_AUCTIONS = f"(FROM {_EVENTS} WHERE item_name IS NOT NULL)"
_BIDS = f"(FROM {_EVENTS} WHERE auction IS NOT NULL)"
_AUCTION, _BID = (", ".join(fields) for fields in (schemas.AUCTION, schemas.BID))
_WON_BID = ", ".join(f"bid_{name}" for name in schemas.BID)
_WON = f"""(SELECT DISTINCT ON (a.id) {", ".join(f"a.{name}" for name in schemas.AUCTION)},
        {", ".join(f"b.{name} AS bid_{name}" for name in schemas.BID)}
    FROM {_AUCTIONS} a JOIN {_BIDS} b ON a.id = b.auction
    WHERE b.date_time < a.expires AND b.price >= a.reserve ORDER BY b.price DESC, b.date_time)"""
_SLIDING = "unnest([0, 1])"  # a window of 10 s begins every 5 s: each moment is in two


def _query(number: int, title: str, columns: str, sql: str, runner: str = "FnApiRunner") -> Workload:
    return Workload(
        name=f"W6, query {number}",
        title=f"{number}: {title}",
        says="",
        sides=(
            Side("beam_pipelines", "benchmarks.w6.beam_pipelines_job", "our transforms", arguments=(str(number),)),
            Side(
                "beam_nexmark",
                "benchmarks.w6.beam_nexmark",
                f"Beam's own, {runner}",
                "beam",
                slow=True,
                arguments=(str(number), runner),
            ),
            Side("duckdb", "benchmarks.parquet_duckdb", "SQL", "duckdb", arguments=(f"results={sql}",)),
        ),
        source=data.file,
        tables=(Table("results", columns),),
        reference="duckdb",
        sizes=(200_000, 2_000_000),
        quick=None,
        family=NEXMARK,
    )


ALL = (
    _query(
        0,
        "pass through",
        ", ".join(schemas.EVENT),
        f"FROM {_EVENTS}",
    ),
    _query(
        1,
        "bids in euros",
        _BID,
        f"SELECT auction, bidder, price * 0.89::DOUBLE AS price, date_time, extra FROM {_BIDS}",
    ),
    _query(
        2,
        "bids for some auctions",
        "auction_id, price",
        f"SELECT auction AS auction_id, price FROM {_BIDS} WHERE auction % 123 = 0",
    ),
    _query(
        3,
        "who sells in three states: a join",
        "name, city, state, auction_id",
        f"""SELECT p.name, p.city, p.state, a.id AS auction_id FROM {_AUCTIONS} a JOIN {_PERSONS} p ON a.seller = p.id
            WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')""",
        "PrismRunner",
    ),
    _query(
        4,
        "mean price of won auctions by category: a join, and sliding windows",
        "category, price",
        f"""SELECT category, avg(bid_price) AS price
            FROM (SELECT *, (expires - 1) // 5000 - {_SLIDING} AS w FROM {_WON}) GROUP BY category, w""",
        "BundleBasedDirectRunner",
    ),
    _query(
        5,
        "auctions with the most bids, in sliding windows",
        "auction_id, num",
        f"""SELECT auction AS auction_id, count(*) AS num
            FROM (SELECT auction, date_time // 5000 - {_SLIDING} AS w FROM {_BIDS}) GROUP BY auction, w
            QUALIFY num = max(num) OVER (PARTITION BY w)""",
    ),
    _query(
        7,
        "highest bids, in fixed windows",
        _BID,
        f"""SELECT auction, bidder, price, date_time, extra FROM {_BIDS}
            QUALIFY price = max(price) OVER (PARTITION BY date_time // 10000)""",
    ),
    _query(
        8,
        "new users who sell: a join in fixed windows",
        "id, name, reserve",
        f"""SELECT p.id, p.name, a.reserve FROM {_PERSONS} p
            JOIN {_AUCTIONS} a ON p.id = a.seller AND p.date_time // 10000 = a.date_time // 10000""",
    ),
    _query(
        9,
        "winning bids: a join, and the best of each auction",
        f"{_AUCTION}, {_WON_BID}",
        f"FROM {_WON}",
        "BundleBasedDirectRunner",
    ),
    _query(
        11,
        "bids of each user's sessions",
        "bidder_id, bid_count",
        f"""SELECT bidder AS bidder_id, count(*) AS bid_count
            FROM (SELECT bidder, count(*) FILTER (begins) OVER mine AS session
                FROM (SELECT *, coalesce(date_time - lag(date_time) OVER mine >= 10000, true) AS begins FROM {_BIDS}
                    WINDOW mine AS (PARTITION BY bidder ORDER BY date_time))
                WINDOW mine AS (PARTITION BY bidder ORDER BY date_time))
            GROUP BY bidder, session""",
    ),
)
