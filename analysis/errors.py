"""What a statistic raises where a number would be wrong: each says in one sentence why it is absent."""


class CannotCompute(Exception):
    """A number that cannot be computed from these judgements; `reason` is the sentence a page shows instead."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def problem(self) -> str:
        """The name of the reason, such as "TooFewThreads", for counting reasons apart."""
        return type(self).__name__


class NoJudgements(CannotCompute):
    """There is nothing to compute from."""

    def __init__(self) -> None:
        super().__init__("There are no judgements.")


class TooFewThreads(CannotCompute):
    """Under ten threads the spread between threads is not known well enough for an interval."""

    def __init__(self, threads: int, needed: int = 10) -> None:
        noun = "thread" if threads == 1 else "threads"
        super().__init__(f"Only {threads} {noun}; an interval needs at least {needed}.")


class TooFewAnnotators(CannotCompute):
    """Agreement needs two people."""

    def __init__(self, annotators: int) -> None:
        noun = "annotator" if annotators == 1 else "annotators"
        super().__init__(f"Only {annotators} {noun}; agreement needs at least two.")


class OneJudgementPerUnit(CannotCompute):
    """Nobody judged what somebody else judged."""

    def __init__(self) -> None:
        super().__init__("No item was judged by two annotators, so agreement cannot be seen.")


class OneCategory(CannotCompute):
    """Alpha compares with chance, and with one category in use chance agrees always."""

    def __init__(self) -> None:
        super().__init__("Only one answer was ever given, so agreement beyond chance is not defined.")


class NoVariation(CannotCompute):
    """Identical values say nothing about how far the estimate could move."""

    def __init__(self, reason: str = "The judgements do not vary, so no interval can be computed.") -> None:
        super().__init__(reason)


class NoUntiedJudgements(CannotCompute):
    """Every judgement was a tie."""

    def __init__(self) -> None:
        super().__init__("Every judgement was a tie, so there is no rate without ties.")


class OneSideOnly(CannotCompute):
    """A stood on one side throughout, so the side cannot be told from the system."""

    def __init__(self) -> None:
        super().__init__(
            "One system stood on the same side throughout, so its rate cannot be adjusted for the side."
        )


class FullAgreement(CannotCompute):
    """Alpha is 1: the jackknife has nothing to vary."""

    def __init__(self) -> None:
        super().__init__("Annotators agreed throughout, so no interval can be computed.")


class LeaveOneOutUndefined(CannotCompute):
    """One thread alone holds all the disagreement, or all but one of the categories."""

    def __init__(self) -> None:
        super().__init__(
            "Without one of the threads alpha would be 1 or not defined, so no interval can be computed."
        )
