"""The layout of the Diagnose page: three panes side by side where they fit, one below the other on a phone."""

# The page's own bar takes 3rem, the film's name 1.6rem, the line at the bottom 1.4rem.
DESK_STYLE = """<style>
:root { --desk-height: calc(100dvh - 7rem); --viewer-height: calc(var(--desk-height) - 1.9rem);
  --worklist-height: var(--desk-height); }
.stMainBlockContainer > .stVerticalBlock, .stMainBlockContainer > .stVerticalBlock > div > .stVerticalBlock {
  gap: .4rem; }
.st-key-desk { display: grid; gap: .75rem; align-items: start; min-height: var(--desk-height);
  grid-template-columns: 10.4rem minmax(0, 1fr) 18.5rem; grid-template-rows: auto auto 1fr;
  grid-template-areas: "list film answer" "list film reading" "list film tools"; }
.st-key-desk > * { min-width: 0; width: 100%; }
.st-key-desk > :has(> .st-key-worklist-pane) { grid-area: list; }
.st-key-desk > :has(> .st-key-film-pane) { grid-area: film; min-height: var(--desk-height); }
.st-key-desk > :has(> .st-key-answer-pane) { grid-area: answer; }
.st-key-desk > :has(> .st-key-reading-pane) { grid-area: reading; }
.st-key-desk > :has(> .st-key-tools-pane) { grid-area: tools; }
.st-key-desk:has(.st-key-assessing :is(.stProgress, .stAlert, .assessing)) :is(.st-key-film-pane,
  .st-key-answer-pane, .st-key-reading-pane, .st-key-tools-pane) { visibility: hidden; }
.st-key-desk:has(.st-key-assessing :is(.stProgress, .stAlert, .assessing)) :is(.st-key-reading-pane,
  .st-key-tools-pane) [data-testid="stWidgetLabel"] { visibility: hidden !important; }
/* While another model assesses the films, the list and its file would show the answers of the one before. */
.st-key-desk:has(.another-model) .st-key-worklist-pane,
:root:has(.another-model) .st-key-topbar .stDownloadButton { visibility: hidden; }
.st-key-assessing { visibility: visible; }
.st-key-answer-pane > :has(> .st-key-assessing):not(:has(.stProgress, .stAlert, .assessing)) { display: none; }
/* What is about to be replaced is hidden or stays right: to let it fade has the browser draw every frame meanwhile. */
.stMain [data-stale="true"] { opacity: 1 !important; transition: none !important; }
.assessing { margin: 0; font-size: .9rem; }
.st-key-film-pane, .st-key-film-pane .stVerticalBlock { gap: .2rem; }
:is(.st-key-answer-pane, .st-key-reading-pane, .st-key-tools-pane),
:is(.st-key-answer-pane, .st-key-reading-pane, .st-key-tools-pane) .stVerticalBlock { gap: .5rem; }
.st-key-reading-pane [data-testid="stButtonGroup"] button { padding: .2rem .55rem; font-size: .8125rem; }
.st-key-no-film { min-height: var(--viewer-height); border: 1px dashed #8889; border-radius: 6px; padding: 1rem;
  justify-content: center; }
.st-key-no-film p { text-align: center; }
.st-key-add-films [data-testid="stFileUploaderDropzone"] { padding: 0; border: 0; background: none; min-height: 0; }
.st-key-add-films [data-testid="stFileUploaderDropzoneInstructions"] { display: none; }
.st-key-add-films, .st-key-add-films * { min-width: 0; }
.st-key-add-films [data-testid="stFileUploader"] { width: 5.4rem; }
.st-key-topbar .stCheckbox label { align-items: center; }
.st-key-topbar button { min-height: 2.1rem; padding: .15rem .65rem; }
.st-key-add-films [data-testid="stFileUploaderDropzone"] button p { font-size: 0; }
.st-key-add-films [data-testid="stFileUploaderDropzone"] button p::after { content: "Add"; font-size: .875rem; }
@media (max-width: 1100px) {
  :root { --bar: 2.6rem; --desk-height: calc(100dvh - 14.6rem - var(--bar)); --worklist-height: 9rem;
    --viewer-height: max(420px, calc(100dvh - 16.6rem - var(--bar))); --tile-share: 22%; }
  :root:has(.st-key-topbar .st-key-reading_order) { --bar: 5rem; }
  .st-key-topbar { gap: .35rem !important; padding-right: 3rem; }
  .st-key-topbar button :is(span, div):has(> [data-testid="stIconMaterial"]:only-child),
  .st-key-topbar button [data-testid="stIconMaterial"], .st-key-topbar kbd { display: none; }
  .st-key-add-films [data-testid="stFileUploader"] { width: 3.4rem; }
  .st-key-topbar button { padding: .1rem .45rem; min-height: 2rem; }
  .st-key-topbar button p { font-size: .8125rem; }
  .st-key-desk { grid-template-columns: minmax(0, 1fr) 17rem; grid-template-rows: auto auto auto 1fr;
    grid-template-areas: "list list" "film answer" "film reading" "film tools"; }
}
@media (max-width: 720px) {
  /* What concerns all films stands beside the title, the steps from film to film together below it. */
  .st-key-topbar > :first-child { order: -3; }
  .st-key-topbar > :has(.st-key-add-films) { order: -2; }
  .st-key-topbar { padding-right: 0 !important; }
  .st-key-topbar > .st-key-clear-films { order: -1; margin-right: 4.2rem; }
  :root { --viewer-height: clamp(380px, 74dvh, 640px); --worklist-height: none; }
  .st-key-desk { grid-template-columns: minmax(0, 1fr); grid-template-rows: none;
    grid-template-areas: "answer" "film" "reading" "tools" "list"; }
  .st-key-desk > :has(> .st-key-film-pane), .st-key-no-film { min-height: 0; }
}
</style>"""

#: On the page from the start: a style that comes with every answer has the browser style the whole page anew.
CARD_STYLE = """<style>
.answer { border-left: 6px solid var(--tone); padding: .1rem 0 .1rem .7rem; }
.answer .head { display: flex; align-items: center; gap: .55rem; }
.answer .head i { width: 1.5rem; height: 1.5rem; flex: 0 0 auto; background: var(--tone); }
.answer .head strong { font-size: 1.35rem; line-height: 1.2; }
.answer .share { font-size: 1.1rem; margin: .2rem 0 0; font-variant-numeric: tabular-nums; }
.answer .caution { font-weight: 600; }
.answer p { margin: .4rem 0 0; font-size: .9rem; line-height: 1.4; }
.alike { font-size: .8125rem; line-height: 1.4; border-top: 1px solid #8886; padding-top: .4rem; margin: .5rem 0 0; }
.cautions p { border-left: 3px solid #e69f00; padding: .15rem 0 .15rem .5rem; margin: .4rem 0 0; font-size: .8125rem;
  line-height: 1.4; }
.points { position: relative; height: 2.6rem; margin: .5rem .4rem 0; font-size: .75rem; }
.points .zones { position: absolute; inset: .75rem 0 auto; height: .55rem; display: flex; border-radius: 3px;
  overflow: hidden; }
.points .zones i { background: var(--zone); min-width: 3px; }
.points b { position: absolute; top: 0; margin-left: -7px; border: solid transparent; border-width: 10px 7px 0;
  border-top-color: currentColor; }
.points span { position: absolute; top: 1.5rem; transform: translateX(-50%); white-space: nowrap; }
.points span.first { left: 0; transform: none; } .points span.last { right: 0; transform: none; }
</style>"""
