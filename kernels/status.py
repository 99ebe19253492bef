"""The outcome of a cell at a level, as numbers; run files hold them too, so add new ones and change none."""

NOT_RUN, REACHED, OUT_OF_STEPS, DIVERGED, AT_FLOOR, BUDGET_SPENT, VALIDATION_STOPPED = range(7)
