from annotations.commands import ArrowCommand


class Command(ArrowCommand):
    help = "Opens a campaign that has been prepared: from then on people can rate."
    arrow = "open"
