"""Draw docs/demo.svg, the README's picture: what a terminal shows of a demo, the alarm lines of a real one.

histwatch demo --once --json > events.jsonl
python docs/picture.py events.jsonl docs/demo.svg
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

_COLOURS = {"raised": "bold red", "updated": "yellow", "cleared": "green"}
# Rich's own frame loads a font from the network; a README should not.
_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
 line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>{lines}</defs>
<rect fill="#1c1c1c" x="1" y="1" width="{width}" height="{height}" rx="6"/>
<g transform="translate({terminal_x}, 12)" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def main(events: Path, output: Path) -> None:
    """Draw the alarm lines of a demo."""
    console = Console(record=True, width=118, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print("$ histwatch demo", style="bold")
    for line in events.read_text().splitlines():
        event = json.loads(line)
        text = Text(f"{event['event']:8s}", style=_COLOURS[event["event"]])
        text.append(f"{event['severity']:6s}", style="white")
        text.append(event["summary"].split(". ")[0].replace("CaloMonitoring/ClusterMon/", "…/"), style="white")
        console.print(text)
    output.write_text(console.export_svg(title="", code_format=_FORMAT))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
