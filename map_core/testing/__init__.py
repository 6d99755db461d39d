"""Laws of the three contracts (oracle, engine, scorer) as test functions, for implementations outside this repository.

oracle_laws  moments, best replies, subsamples: any storage of a reward table (on the tables of plain_tables)
engine_laws  seeded streams of tokens: any way to draw replies
scorer_laws  finite, order-free, picklable rewards: any value

A test module of your own, with pytest (`pip install value-palette[test]`):

    from map_core.testing import oracle_laws, plain_tables, scorer_laws

    @pytest.mark.parametrize("law", oracle_laws.LAWS)
    @pytest.mark.parametrize("table", plain_tables.CASES.values(), ids=plain_tables.CASES)
    def test_my_oracle(law, table):
        law(MyOracle(table.rewards, table.offsets, table.values, table.form), table)

`scorer_laws.check_scorer(MyScorer())` runs every law of a scorer; each of `engine_laws.LAWS` takes an engine.
Constraint: nothing in map_core imports this package; it needs pytest, which running the app does not.
"""

import pytest

# So that failing assertions in the laws show their values, as in a test module.
pytest.register_assert_rewrite(*(f"{__name__}.{contract}_laws" for contract in ("oracle", "engine", "scorer")))
