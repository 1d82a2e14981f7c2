# A drift report (drift.json) as Markdown.
def share: . * 1000 | round / 1000;

"## Drift: \(.verdict)\n",
"\(.current_rows) different faces of `\(.current)` against \(.reference_rows) of `\(.bundle)`\n",
if .columns | length > 0 then
  "| column | distance | p-value | drifted |",
  "|---|---|---|---|",
  (.columns[] | "| \(.column) | \(.distance | share) | \(if .p_value < 0.001 then "below 0.001" else .p_value | share end) | \(if .drifted then "yes" else "" end) |")
else empty end,
if .performance != null then "\nPerformance: \(.performance.verdict), \(.performance.labels) labels" else empty end
