"""Options that several commands take alike."""

from __future__ import annotations

from typing import Annotated

import typer

Cumulative = Annotated[
    bool | None,
    typer.Option(
        "--cumulative/--interval",
        help="What the files hold: totals since the start of the run, or of each lumisection. Default: what the file"
        " beside them says (simulate writes one), else of each lumisection.",
        show_default=False,
    ),
]
