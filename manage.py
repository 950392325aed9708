#!/usr/bin/env python
"""Replik's command line: `python manage.py COMMAND`."""

import json
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("Django is not installed here. Run `make setup`, then use .venv/bin/python manage.py ...")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as fault:
        if "--traceback" in sys.argv:
            raise
        if "--json" in sys.argv:
            sys.stdout.write(json.dumps({"error": str(fault)}, ensure_ascii=False) + "\n")
            sys.exit(1)
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
