"""What becomes of questions that cannot be answered."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from lakecdp.platform.errors import UsageError
from lakecdp.platform.job import Job
from lakecdp.platform.session import LOUD
from lakecdp.query import query

WRONG = {
    "SELECT missing FROM values (1) t(a)": "The query cannot be run: .*UNRESOLVED_COLUMN.*`missing`",
    "SELECT 1 +": "The query cannot be run: .*PARSE_SYNTAX_ERROR",
    "SELECT * FROM gold.nothing": "There is no table gold.nothing",
    "DELETE FROM gold.customer_feature": "Only queries are run",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_question_gets_one_sentence_and_no_stack_trace(
    make_job: Callable[..., Job], text: str
) -> None:
    said: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = said.append  # type: ignore[method-assign]
    for name in LOUD:
        logging.getLogger(name).addHandler(handler)
    try:
        with pytest.raises(UsageError, match=WRONG[text]) as error:
            query(make_job(), text)
    finally:
        for name in LOUD:
            logging.getLogger(name).removeHandler(handler)
    assert "\n" not in str(error.value)
    assert said == []
