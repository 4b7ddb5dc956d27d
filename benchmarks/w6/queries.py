"""Nexmark's queries in this package's transforms, each with the arguments that Beam's launcher gives its own."""

from __future__ import annotations

from beam_pipelines import AggregateBatches, DeriveColumns, FilterBatches, JoinBatches, JoinTable, SelectColumns
from benchmarks.w6.events import AUCTION, BID, PERSON, Events, Rows
from benchmarks.w6.schemas import AUCTION as AUCTION_FIELDS
from benchmarks.w6.schemas import BID as BID_FIELDS
from benchmarks.w6.schemas import EVENT


def pass_through(events: Events) -> Rows:
    """0: all events, parsed."""
    return events.read(*EVENT)


def currency(events: Events) -> Rows:
    """1: bids in euros."""
    bids = events.only(events.read(*BID_FIELDS), BID)
    derive = DeriveColumns(bids.schema, {"price": "price * 0.89e0"})
    return Rows((bids.batches | derive).dead_letters_to(events.refused), derive.contract.schema)


def selection(events: Events) -> Rows:
    """2: bids for some auctions."""
    bids = events.read("auction", "price")
    some = (bids.batches | FilterBatches(bids.schema, "auction % 123 = 0")).dead_letters_to(events.refused)
    return Rows(some | (select := SelectColumns(bids.schema, "auction AS auction_id, price")), select.contract.schema)


def local_items(events: Events) -> Rows:
    """3: who sells in three states in a category, and what."""
    rows = events.read("id", "name", "city", "state", "item_name", "seller", "category")
    sellers = events.only(rows, f"{PERSON} AND state IN ('OR', 'ID', 'CA')")
    auctions = events.only(rows, f"{AUCTION} AND category = 10")
    sold = auctions.batches | (select := SelectColumns(rows.schema, "id AS auction_id, seller"))
    join = JoinBatches(select.contract, rows.schema, [("seller", "id")], how="inner", take="name, city, state")
    return Rows(((sold, sellers.batches) | join).dead_letters_to(events.refused), join.contract.schema)


def category_averages(events: Events) -> Rows:
    """4: the mean price that auctions of a category were sold for, in sliding windows of when they closed."""
    sold = events.timed(_winning_bids(events, ["category", "expires"], ["price"]), "make_timestamp(expires * 1000 - 1)")
    means = AggregateBatches(
        sold.schema, "avg(bid_price) AS price", group_by=["category"], window="sliding:10s/5s", event_time="at"
    )
    return Rows((sold.batches | "Means" >> means).panes, means.output_schema)


def hot_items(events: Events) -> Rows:
    """5: the auctions with the most bids in each sliding window."""
    bids = events.timed(events.only(events.read("auction", "date_time"), BID), "epoch_ms(date_time)")
    counts = AggregateBatches(
        bids.schema, "count(*) AS num", group_by=["auction"], window="sliding:10s/5s", event_time="at"
    )
    select = SelectColumns(counts.output_schema, "window_start AS since, auction AS auction_id, num")
    counted = (bids.batches | counts).panes | select
    most = AggregateBatches(select.contract.schema, "max(num) AS num", group_by=["since"])
    table = (counted | "Most" >> most).panes
    join = JoinTable(select.contract, table, most.output_schema, ["since", "num"], how="inner", take="")
    return Rows((counted | join).dead_letters_to(events.refused), join.contract.schema)


def highest_bid(events: Events) -> Rows:
    """7: the bids of the highest price in each window of ten seconds; of the maximum a table is made, as by Beam."""
    bids = events.only(events.read(*BID_FIELDS), BID)
    derive = DeriveColumns(bids.schema, {"tens": "date_time // 10000"})
    timed = (bids.batches | derive).dead_letters_to(events.refused)
    largest = AggregateBatches(derive.contract.schema, "max(price) AS price", group_by=["tens"])
    table = (timed | largest).panes
    join = JoinTable(derive.contract, table, largest.output_schema, ["tens", "price"], how="inner", take="")
    return Rows((timed | join).dead_letters_to(events.refused), join.contract.schema)


def new_users(events: Events) -> Rows:
    """8: who came and opened auctions in the same window of ten seconds."""
    rows = events.read("id", "name", "item_name", "reserve", "seller", "date_time")
    derive = DeriveColumns(rows.schema, {"tens": "date_time // 10000"})
    timed = Rows((rows.batches | derive).dead_letters_to(events.refused), derive.contract.schema)
    auctions = events.only(timed, AUCTION).batches | (
        select := SelectColumns(timed.schema, "seller AS id, tens, reserve")
    )
    persons = events.only(timed, PERSON)
    join = JoinBatches(select.contract, timed.schema, ["id", "tens"], how="inner", take="name")
    return Rows(((auctions, persons.batches) | join).dead_letters_to(events.refused), join.contract.schema)


def winning_bids(events: Events) -> Rows:
    """9: auctions with the bid that they were sold for."""
    return _winning_bids(events, list(AUCTION_FIELDS), list(BID_FIELDS))


def user_sessions(events: Events) -> Rows:
    """11: how many bids a user made in each session."""
    bids = events.timed(events.only(events.read("auction", "bidder", "date_time"), BID), "epoch_ms(date_time)")
    select = SelectColumns(bids.schema, "bidder AS bidder_id, at")
    sessions = AggregateBatches(
        select.contract.schema,
        "count(*) AS bid_count",
        group_by=["bidder_id"],
        window="session:10s",
        event_time="at",
    )
    return Rows((bids.batches | select | sessions).panes, sessions.output_schema)


def _winning_bids(events: Events, of_auction: list[str], of_bid: list[str]) -> Rows:
    """The highest bid that came before an auction closed and reached its reserve, of equal ones the earliest."""
    of_offer = list(dict.fromkeys(["auction", "price", "date_time", *of_bid]))
    rows = events.read(*dict.fromkeys([*of_offer, "item_name", "id", "expires", "reserve", *of_auction]))
    auctions, bids = events.only(rows, AUCTION), events.only(rows, BID)
    offers = bids.batches | "Offers" >> (offer := SelectColumns(rows.schema, of_offer))
    join = JoinBatches(offer.contract, rows.schema, [("auction", "id")], how="inner", take="expires, reserve")
    both = ((offers, auctions.batches) | join).dead_letters_to(events.refused)
    valid = both | FilterBatches(join.contract, "date_time < expires AND price >= reserve")
    # max_by orders by one value: the price, and where it is the same the earlier time, in one decimal.
    rank = DeriveColumns(join.contract, {"rank": "CAST(price AS DECIMAL(38, 0)) * 10000000000000 - date_time"})
    ranked = (valid.dead_letters_to(events.refused) | rank).dead_letters_to(events.refused)
    best = ", ".join(f"max_by({name}, rank) AS bid_{name}" for name in of_bid)
    highest = AggregateBatches(rank.contract.schema, best, group_by=["auction"])
    item = SelectColumns(rows.schema, list(dict.fromkeys(["id", *of_auction])))
    items = auctions.batches | "Items" >> item
    won = ", ".join(f"bid_{name}" for name in of_bid)
    sale = JoinBatches(item.contract, highest.output_schema, [("id", "auction")], how="inner", take=won)
    sold = (items, (ranked | highest).panes) | "Sold" >> sale
    return Rows(sold.dead_letters_to(events.refused), sale.contract.schema)


QUERIES = {
    0: pass_through,
    1: currency,
    2: selection,
    3: local_items,
    4: category_averages,
    5: hot_items,
    7: highest_bid,
    8: new_users,
    9: winning_bids,
    11: user_sessions,
}
