"""One finding on one page, as PDF, PNG or a CSV row. Created in memory; nothing is written."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from fracture_core.bundle.bundle import Bundle
from fracture_core.explain.heatmap_methods import METHODS
from fracture_core.explain.overlay import overlay, to_png, with_marks
from fracture_core.imaging.letterbox import shrink
from fracture_core.inference.predictor import Finding
from fracture_core.reporting.finding_text import (
    BOXES_MEAN,
    COLOURS_DO_NOT_MEAN,
    COLOURS_MEAN,
    DISCLAIMER,
    LIMITS,
    FindingText,
    explain_finding,
    probability_in_words,
)
from fracture_core.reporting.fonts.text_runs import markup
from fracture_core.reporting.patient_details import patient_lines
from fracture_core.reporting.worklist import Entry, to_csv, worklist

if TYPE_CHECKING:
    from reportlab.platypus import Image

_COLOURS = {"likely": "#b84a00", "indeterminate": "#8a6100", "unlikely": "#0b5f94", "not-read": "#7a3d63"}
_COLOURS |= {"above": _COLOURS["likely"], "below": _COLOURS["unlikely"]}
_MARGIN = 48
#: Of a table: its cells begin where the paragraphs do.
_FLUSH = ("LEFTPADDING", (0, 0), (-1, -1), 0)


def report_pdf(
    finding: Finding,
    bundle: Bundle,
    *,
    method: str | None = None,
    named: bool = True,
    patient: Mapping[str, str] | None = None,
    when: datetime | None = None,
    reader_finding: str = "",
    notes: Sequence[str] = (),
) -> bytes:
    """Return one A4 page: images, finding, operating points, model, the input's SHA-256, date, limits and disclaimer.

    Args:
        finding: The finding.
        bundle: The bundle that made it.
        method: The heatmap method; by default the network's first.
        named: Whether to print the file's name; without it the SHA-256 identifies the file.
        patient: Patient details from `dicom_identifiers`; not printed by default.
        when: Date and time to print; now by default.
        reader_finding: What the person at the screen found; without it there is a line to write on.
        notes: Sentences that stand with the warnings.

    Returns:
        The PDF.
    """
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import BaseDocTemplate, Frame, Image, KeepInFrame, PageTemplate, Paragraph, Spacer, Table

    words = explain_finding(finding, bundle)
    styles = _styles(_COLOURS[words.kind])
    width, height = A4[0] - 2 * _MARGIN, A4[1] - 2 * _MARGIN
    method = method or finding.methods[0]
    images = [finding.radiograph.pixels]
    if finding.assessed:
        drawn = overlay(finding.radiograph.pixels, finding.heatmap(method), finding.full_colour(method))
        images.append(with_marks(drawn, [(mark.box, mark.solid) for mark in finding.marks()]))
    columns = [_fitted(p, Image, (width - 12) / 2, 290) for p in images]
    captions = [Paragraph(text, styles["small"]) for text in ("Original", METHODS[method].title)[: len(images)]]
    story = [Paragraph("Fracture reader: single-radiograph report", styles["title"]), *_patient(patient, styles, width)]
    story += _verdict(finding, words, styles, notes)
    story += [Spacer(1, 4), Table([columns, captions], colWidths=[width / 2] * len(columns), style=[_FLUSH])]
    legend = f"{COLOURS_MEAN} {COLOURS_DO_NOT_MEAN} {BOXES_MEAN if finding.marks() else ''}"
    story += [Paragraph(legend, styles["small"])] if finding.assessed else []
    story += _reader(reader_finding, styles, width)
    rows = _details(finding, words, method, named, when or datetime.now().astimezone())
    cells = [[Paragraph(markup(cell), styles["small"]) for cell in row] for row in rows]
    lines = [("VALIGN", (0, 0), (-1, -1), "TOP"), _FLUSH]
    story += [Spacer(1, 6), Table(cells, colWidths=[96, width - 96], style=lines)]
    story += [Spacer(1, 6), *(Paragraph(markup(f"• {limit}"), styles["small"]) for limit in LIMITS)]
    page = io.BytesIO()
    document = BaseDocTemplate(page, pagesize=A4, title="Fracture reader: report", author="")
    frame = Frame(_MARGIN, _MARGIN, width, height, *(0,) * 4)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=_footer(finding)))
    document.build([KeepInFrame(width, height, story, mode="shrink")])
    return page.getvalue()


def report_png(finding: Finding, bundle: Bundle, **options: Any) -> bytes:
    """Return the same page as a PNG at 144 dpi.

    Args:
        finding: The finding.
        bundle: The bundle that made it.
        **options: As for `report_pdf`.

    Returns:
        The PNG.
    """
    import pypdfium2

    document = pypdfium2.PdfDocument(report_pdf(finding, bundle, **options))
    try:
        return to_png(np.ascontiguousarray(document[0].render(scale=2, rev_byteorder=True).to_numpy()[..., :3]))
    finally:
        document.close()


def csv_line(finding: Finding, *, named: bool = True, reader_finding: str = "") -> str:
    """Return a header and one row, with the columns of the worklist.

    Args:
        finding: The finding.
        named: Whether to include the file's name.
        reader_finding: What the person at the screen found.

    Returns:
        The CSV text.
    """
    entry = replace(Entry.of(finding), reader_finding=reader_finding)
    table = worklist([entry], finding.rule_out, finding.rule_in)
    return to_csv(table if named else table.assign(file=""))


def file_stem(finding: Finding, *, named: bool = True) -> str:
    """Return a safe name for a report's file, from the radiograph's name or its SHA-256.

    Args:
        finding: The finding.
        named: Whether the file's name may be used.

    Returns:
        The name without a suffix.
    """
    stem = finding.radiograph.name.rpartition(".")[0] or finding.radiograph.name
    stem = "".join(c if c.isalnum() or c in ".-_" else "-" for c in stem)[:80].strip(".-")
    return f"fracture-report-{stem if named and stem else finding.radiograph.sha256[:12]}"


def _styles(colour: str) -> dict:
    from reportlab.lib.styles import ParagraphStyle

    body = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=13, spaceBefore=4)
    return {
        "body": body,
        "small": ParagraphStyle("small", body, fontSize=8, leading=10, spaceBefore=1),
        "title": ParagraphStyle("title", body, fontSize=14, leading=18, fontName="Helvetica-Bold"),
        "verdict": ParagraphStyle("verdict", body, fontSize=18, leading=23, textColor=colour, spaceBefore=6),
    }


def _patient(patient: Mapping[str, str] | None, styles: dict, width: float) -> list:
    """Return the patient's block for the top of the page; nothing if it was not requested."""
    from reportlab.platypus import Paragraph, Table

    if not patient:
        return []
    cells = [
        [Paragraph(markup(label), styles["small"]), Paragraph(f"<b>{markup(value)}</b>", styles["small"])]
        for label, value in patient_lines(patient)
    ]
    lines = [("BOX", (0, 0), (-1, -1), 0.5, "#888888"), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    return [Table(cells, colWidths=[120, width - 120], style=lines, spaceBefore=4, spaceAfter=2)]


def _reader(reader_finding: str, styles: dict, width: float) -> list:
    """Return the reader's own finding, and space for name, signature and date."""
    from reportlab.platypus import Paragraph, Spacer, Table

    labels = ("Reader's finding", "Reader", "Signature", "Date")
    cells = [
        [Paragraph(label, styles["small"]) for label in labels],
        [Paragraph(markup(reader_finding), styles["body"]), "", "", ""],
    ]
    lines = [("LINEBELOW", (0, 1), (-1, 1), 0.5, "#888888"), ("FONTSIZE", (0, 1), (-1, 1), 10)]
    lines += [_FLUSH]
    widths = [share * width for share in (0.3, 0.3, 0.25, 0.15)]
    return [Spacer(1, 4), Table(cells, colWidths=widths, rowHeights=[12, 22], style=lines)]


def _footer(finding: Finding) -> Callable[[Any, Any], None]:
    """Draw the foot of the page: what this is, which model read, and the page number."""

    def draw(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont("Helvetica-Bold", 8)
        canvas.drawString(_MARGIN, 30, DISCLAIMER)
        canvas.setFont("Helvetica", 8)
        canvas.drawString(_MARGIN, 20, finding.bundle)
        canvas.drawRightString(document.pagesize[0] - _MARGIN, 20, f"Page {document.page} of 1")
        canvas.restoreState()

    return draw


def _verdict(finding: Finding, words: FindingText, styles: dict, notes: Sequence[str]) -> list:
    from reportlab.platypus import Paragraph

    if words.reason:
        headline = Paragraph(f"<b>{markup(words.headline)}</b>", styles["verdict"])
        return [headline, Paragraph(markup(words.reason), styles["body"])]
    text = f"<b>{markup(words.headline)}</b>, probability {markup(probability_in_words(finding))}"
    paragraphs = [Paragraph(text, styles["verdict"]), Paragraph(markup(words.like_this), styles["body"])]
    if words.caution:
        paragraphs.insert(1, Paragraph(f"<b>{markup(words.caution)}</b>", styles["body"]))
    warnings = [*notes, *finding.warnings]
    return paragraphs + [Paragraph(markup(f"Warning: {warning}"), styles["body"]) for warning in warnings]


def _details(finding: Finding, words: FindingText, method: str, named: bool, when: datetime) -> list[tuple[str, str]]:
    radiograph = finding.radiograph
    height, width = radiograph.pixels.shape
    rows = [("File", radiograph.name)] if named else []
    rows += [("SHA-256 of the file", radiograph.sha256), ("Image", f"{radiograph.format}, {width} x {height} pixels")]
    rows += [("Model", finding.bundle), ("Operating points", words.detail)]
    rows += [("Heatmap", f"{METHODS[method].title}. {METHODS[method].sentence}")] if finding.assessed else []
    return [*rows, ("Read on", f"{when.day} {when:%B %Y, %H:%M %Z}")]


def _fitted(pixels: np.ndarray, image: type[Image], width: float, height: float) -> Image:
    """Return an image as a flowable of at most width x height points and 1200 pixels along its longer side."""
    pixels = shrink(pixels, 1200)
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    return image(io.BytesIO(to_png(pixels)), pixels.shape[1] * scale, pixels.shape[0] * scale)
