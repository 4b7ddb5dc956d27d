import contextlib
import pickle
import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.aggregate.grammar import parse_aggregates
from beam_pipelines.aggregate.plan import AggregationPlan
from beam_pipelines.aggregate.planning import plan_aggregation
from beam_pipelines.errors import ExpressionError, UsageError

SCHEMA = pa.schema(
    [
        ("country", pa.string()),
        ("price", pa.decimal128(10, 2)),
        ("quantity", pa.int32()),
        ("weight", pa.float64()),
        ("paid", pa.bool_()),
        ("day", pa.date32()),
        ("at", pa.timestamp("us", "UTC")),
        ("tags", pa.list_(pa.string())),
        ("Case", pa.int64()),
    ]
)


def types(text: str) -> dict[str, str]:
    return {output.name: str(output.expression.type) for output in parse_aggregates(text, SCHEMA).outputs}


def test_outputs_have_their_names_and_types():
    text = "count(*) as events, sum(price * quantity) as revenue, max(price) as top, avg(weight), min(day) earliest"
    assert types(text) == {
        "events": "int64",
        "revenue": "decimal128(38, 2)",
        "top": "decimal128(10, 2)",
        "avg_weight": "double",
        "earliest": "date32[day]",
    }


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ("sum(quantity)", "int64"),
        ("sum(weight)", "double"),
        ("avg(price)", "double"),
        ("avg(quantity)", "double"),
        ("min(quantity)", "int32"),
        ("max(country)", "string"),
        ("max(paid)", "bool"),
        ("max(at)", "timestamp[us, tz=UTC]"),
        ("count(tags)", "int64"),
        ("count(distinct country)", "int64"),
        ("sum(price) / count(*)", "double"),
        ("sum(quantity) + 1", "int64"),
        ("coalesce(sum(price), 0)", "decimal128(38, 2)"),
        ("max(price) - min(price)", "decimal128(11, 2)"),
        ("sum(price) filter (where paid)", "decimal128(38, 2)"),
        ("case when count(*) > 1 then 'many' else 'one' end", "string"),
        ("sum(case when paid then price * 2 end)", "decimal128(38, 2)"),
        ("sum(case)", "int64"),
        ("count(1)", "int64"),
    ],
)
def test_types_follow_from_the_columns(text, type):
    text = text.replace("sum(case)", 'sum("Case")')
    assert list(types(text).values()) == [type]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("count(*)", "count"),
        ("COUNT(*)", "count"),
        ("count(distinct country)", "count_distinct_country"),
        ("sum(price * quantity)", "sum_price_quantity"),
        ("sum(price)/count(*)", "sum_price_count"),
        ('count(*) as "mixed Case"', "mixed Case"),
        ("count(*) filter (where paid)", "count_filter_where_paid"),
    ],
)
def test_a_name_comes_from_the_text_unless_as_gives_it(text, name):
    assert list(types(text)) == [name]


def test_calls_that_need_the_same_are_kept_once():
    plan = plan_aggregation(SCHEMA, "sum(price), avg(price), count(price), sum(price) / count(*) as ratio")
    assert [state.kind for state in plan.states.values()] == ["sum", "count"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the expression is empty"),
        ("price", r"'price' is not an aggregate. Aggregates: count, count_if, sum"),
        ("price * 2 as twice", "is not an aggregate"),
        ("1", "is not an aggregate"),
        ("count(*), price", "'price' is not an aggregate"),
        ("sum(price) + price", r"'price' is outside of an aggregate; columns to group by are in the result anyway"),
        ("country || count(*)", "'country' is outside of an aggregate"),
        ("sum(prise)", "no column 'prise'. Did you mean 'price'"),
        ("sum(sum(price))", r"an aggregate inside another one \('SUM\(price\)'\)"),
        ("sum(price) filter (where count(*) > 1)", "is an aggregate"),
        ("count()", r"count\(\) needs an argument: count\(\*\)"),
        ("sum()", "something is missing"),
        ("sum(*)", "only in count"),
        ("count(country, price)", r"it is written count\(\*\), count\(x\) or count\(distinct x\)"),
        ("min(price, 2)", r"it is written min\(x\)"),
        ("count(distinct *)", "only in count"),
        ("count(distinct country, price)", "DISTINCT takes one column"),
        ("sum(distinct price)", "DISTINCT is supported in count only"),
        ("avg(distinct price)", "DISTINCT is supported in count only"),
        ("sum(country)", r"sum takes number values, but 'country' \(string\) is not"),
        ("sum(price * country)", r"'\*' takes numbers, not decimal\(10, 2\) and string"),
        ("avg(day)", r"avg takes number values, but 'day' \(date\) is not"),
        ("sum(paid)", "count with FILTER"),
        ("min(tags)", "min can't compare values of type list"),
        ("count(distinct tags)", r"count\(distinct\) can't compare"),
        ("sum(null)", "has no type"),
        ("max(null)", "can't compare values of type null"),
        ("sum(price) filter (where price)", "WHEN takes boolean values|boolean"),
        ("sum(price) over (partition by country)", "window functions"),
        ("1 + sum(price) over ()", "window functions"),
        ("stddew(price)", r"'STDDEW\(price\)' is not an aggregate. Did you mean 'stddev'"),
        ("skewness(price)", "SKEWNESS is not a supported aggregate. Aggregates: count"),
        ("stddev(country)", "stddev takes number values"),
        ("median(paid)", "median takes number values"),
        ("stddev(distinct price)", "DISTINCT is supported in count only"),
        ("quantile_cont(price)", r"it is written quantile_cont\(x, 0.9\)"),
        ("quantile_cont(price, 1.1)", "the quantile is a number from 0 to 1, of at most 9 digits, not '1.1'"),
        ("quantile_cont(price, weight)", "the quantile is a number from 0 to 1"),
        ("approx_quantile(price, 0.0000000001)", "of at most 9 digits"),
        ("percentile_cont(0.9) within group (order by price desc)", "is not a supported aggregate"),
        ("top_k(country, 0)", "how many is a whole number from 1 to 1000"),
        ("top_k(country, quantity)", "how many is a whole number"),
        ("approx_top_k(country, 2000)", "from 1 to 1024"),
        ("mode(tags)", "mode can't compare values of type list"),
        ("first(price)", "first needs an event time: say which column it is"),
        ("first(price order by day)", "is not supported"),
        ("min_by(price)", r"it is written min_by\(x, by\)"),
        ("max_by(price, tags)", "max_by can't compare values of type list"),
        ("bool_and(price)", "bool_and takes boolean values"),
        ("count_if(price)", "count_if takes boolean values"),
        ("corr(price, country)", "corr takes number values"),
        ("funnel('30m', paid)", r"it is written funnel\('30m', first step, second step, …\)"),
        ("funnel('30m', paid, not paid)", "a funnel needs an event time"),
        ("array_agg(price)", "is not a supported aggregate"),
        ("sum(price order by day)", "is not supported"),
        ("round(sum(price), count(*))", "must be a constant integer"),
        ("sum(price) || 'x'", r"\|\| takes string values"),
        ("count(*) as", "a name must follow AS"),
        ("count(*) as , sum(price)", "a name must follow AS"),
        ("count(*) as n, sum(price) as n", "two aggregates are named 'n'"),
        ("count(*) as n, sum(price) as N", "two aggregates are named 'N'"),
        ("count(*), count(*)", "two aggregates are named 'count'"),
        ("count(*) as window_start", "the window's own column"),
        ("count(*) as Window_End", "the window's own column"),
        ("count(*) as country", "'country' is a column to group by"),
        ("count(*) as Country", "'Country' is a column to group by"),
        ("count(*) as __rows", "__… is reserved"),
        ('count(*) as " "', "can't be a name"),
        ("1 + count(*)", "give it a name"),
        ("count(*) as n; drop table x", "only expressions over columns"),
        ("count(*) from secrets", "no FROM clause"),
        ("count(*) group by country", "no GROUP clause"),
        ("count(*) as n union select 1", "only expressions"),
        ("(select count(*) from x)", "a query|is not an aggregate|is outside"),
        ("sum(price", "can't be read as SQL"),
        ("count(*)) as n", "can't be read as SQL"),
        ("__import__('os')", "is not an aggregate|can't be read"),
        ("sum(0x1f)", "'0x1f' is not a number"),
        ("count(*) filter (where (select true))", "a query inside"),
    ],
)
def test_what_is_not_an_aggregate_is_refused_with_what_is_wrong(text, message):
    with pytest.raises(ExpressionError, match=message) as caught:
        parse_aggregates(text, SCHEMA, ["country"])
    assert len(str(caught.value)) < 700


@given(st.text(alphabet=st.sampled_from(list("sumcount(*)price,as ;'\"+/\n.1")), max_size=30))
def test_garbage_is_an_expression_error_or_a_plan(text):
    with contextlib.suppress(ExpressionError):
        assert parse_aggregates(text, SCHEMA).outputs


def plan(**options: object) -> AggregationPlan:
    return plan_aggregation(SCHEMA, "count(*) as n", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_by": ["contry"]}, "no column 'contry'. Did you mean 'country'"),
        ({"group_by": ["country", "Country"]}, "group_by names 'country' twice"),
        ({"group_by": ["weight"]}, r"column 'weight' is double, and floats make no groups .* use a decimal"),
        ({"group_by": ["tags"]}, "groups are made of strings, integers"),
        ({"window": "fixed:1h"}, "needs an event time"),
        (
            {"window": "fixed:1h", "event_time": "weight"},
            "column 'weight' is float64, and a timestamp or date is needed",
        ),
        ({"window": "fixed:1h", "event_time": "ad"}, "no column 'ad'. Did you mean"),
        ({"window": "hourly", "event_time": "at"}, "window 'hourly'"),
    ],
)
def test_a_plan_that_can_t_be_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        plan(**options)


def test_a_group_may_not_be_named_as_a_column_of_the_result():
    schema = pa.schema([("window_start", pa.string()), ("__key", pa.string())])
    for name in schema.names:
        with pytest.raises(ExpressionError, match="has the name of a result's own column"):
            plan_aggregation(schema, "count(*)", group_by=[name])


def test_names_to_group_by_may_be_quoted():
    schema = pa.schema([("order id", pa.int64()), ('a "b"', pa.int64()), ('"odd"', pa.int64())])
    found = plan_aggregation(schema, "count(*)", group_by=['"order id"', '"a ""b"""', '"odd"'])
    assert found.group_columns == ("order id", 'a "b"', '"odd"')
    assert plan_aggregation(schema, "count(*)", group_by=["Order ID"]).group_columns == ("order id",)
    with pytest.raises(ExpressionError, match=r"no column 'order di'\. Did you mean 'order id'"):
        plan_aggregation(schema, "count(*)", group_by=['"order di"'])


def test_calls_have_one_name_however_they_are_written():
    schema = pa.schema([("x", pa.float64()), ("b", pa.bool_())])
    text = "var_samp(x), percentile_cont(0.9) within group (order by x), any_value(x), every(b), mean(x)"
    assert [output.name for output in parse_aggregates(text, schema).outputs] == [
        "variance_x", "quantile_cont_x_0_9", "any_value_x", "bool_and_b", "avg_x",
    ]  # fmt: skip
    text = "approx_median(x) as a, approx_percentile(x, 0.5) as b, approx_quantile(x, 0.5) as c, quantile(x, 0.5) as d"
    assert [call.sql for call in parse_aggregates(text, schema).calls] == [
        "APPROX_QUANTILE(x, 0.5)", "QUANTILE_DISC(x, 0.5)",
    ]  # fmt: skip
    calls = parse_aggregates("var_samp(x) as a, variance(x) as b, stddev(x) / avg(x) as c", schema).calls
    assert [call.sql for call in calls] == ["VARIANCE(x)", "STDDEV(x)", "AVG(x)"]


def test_the_output_schema_is_the_window_the_groups_and_the_aggregates():
    found = plan(group_by=["COUNTRY", "day"], window="fixed:1h", event_time="AT")
    assert found.output_schema.names == ["window_start", "window_end", "country", "day", "n"]
    assert found.pane_schema.names == [*found.output_schema.names, "__rows"]
    assert plan(group_by="country").output_schema == plan(group_by=["country"]).output_schema


def test_a_pickled_plan_runs_without_the_parser():
    made = plan_aggregation(SCHEMA, "avg(weight), max(price) filter (where paid)", group_by=["country"])
    code = (
        "import pickle, sys; from beam_pipelines.aggregate import kernels; "
        "p = pickle.loads(sys.stdin.buffer.read()); print(p.output_schema.names[2:], 'sqlglot' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(made), capture_output=True, check=True)
    assert run.stdout.decode().strip() == "['country', 'avg_weight', 'max_price_filter_where_paid'] False"
