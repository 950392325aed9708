"""What generation tells those above it, whom it does not know."""

from django.dispatch import Signal

#: An order has nothing left to write. Arguments: order.
order_settled = Signal()

#: A sweep is going on: free what has run out, finish what was interrupted.
sweeping = Signal()
