from annotations.commands import ArrowCommand


class Command(ArrowCommand):
    help = "Pauses an open campaign: nobody gets new items."
    arrow = "pause"
