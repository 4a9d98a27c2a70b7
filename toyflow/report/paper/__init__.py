"""The paper Let It Be Simple (arXiv 2606.05737): what it claims and reports, and how results bear on that.

Another paper would be another folder like this one, with a `Paper` of its own.
"""

from __future__ import annotations

from toyflow.report.claims import Overview, Paper
from toyflow.report.paper.findings import CLAIMS
from toyflow.report.paper.named_contrasts import named_contrasts
from toyflow.report.paper.published import beside_published, published_table
from toyflow.report.paper.story import story

PAPER = Paper(
    title="Let It Be Simple",
    reference="arXiv 2606.05737",
    claims=CLAIMS,
    overview=Overview(
        file="story.png",
        title="When one step is enough, and when not",
        alt="Line charts, a panel per task: what the task is scored by against denoising steps K, a line per "
        "training. The tables have the numbers.",
        draw=story,
    ),
    numbers_file="beside_the_paper",
    numbers=beside_published,
    tables=published_table,
    named=named_contrasts,
)
