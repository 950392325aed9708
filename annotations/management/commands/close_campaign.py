from annotations.commands import ArrowCommand


class Command(ArrowCommand):
    help = "Closes a campaign for good (late answers are kept as surplus)."
    arrow = "close"
