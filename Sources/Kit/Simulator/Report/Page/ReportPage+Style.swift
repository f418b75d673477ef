extension ReportPage {
  /// The page's looks, in light and in dark.
  static let style = """
    :root { --paper: #fbfbfa; --ink: #1c2024; --soft: #626a73; --rule: #dfe2e5; --card: #ffffff; --first: #1f6feb; --second: #d9730d;
      --third: #b3261e; --good: #1a7f37; --bad: #c62828; --shade: #f3d9a455; }
    @media (prefers-color-scheme: dark) {
      :root { --paper: #14171a; --ink: #e6e8ea; --soft: #9aa3ad; --rule: #30363d; --card: #1b1f24; --first: #6cb0ff; --second: #ffab5e;
        --third: #ff8a80; --good: #5fd07f; --bad: #ff8a80; --shade: #c9932f33; }
    }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
    main { max-width: 860px; margin: 0 auto; padding: 24px 20px 64px; }
    h1 { font-size: 26px; line-height: 1.25; margin: 8px 0; }
    h2 { font-size: 19px; margin: 0 0 12px; }
    h3 { font-size: 15px; margin: 20px 0 8px; }
    section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 18px 20px; margin: 18px 0; }
    figure { margin: 0 0 12px; }
    figcaption { color: var(--soft); font-size: 13px; display: flex; flex-wrap: wrap; gap: 4px 18px; padding-left: 12.8%; }
    figcaption i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
    i.first { background: var(--first); } i.second { background: var(--second); } i.third { background: var(--third); }
    i.shade { background: var(--shade); } i.pale { background: var(--first); opacity: .3; }
    svg { display: block; width: 100%; height: auto; }
    svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
    .grid { stroke: var(--rule); stroke-width: 1; } .axis, .tickmark { stroke: var(--soft); stroke-width: 1; }
    .line { fill: none; stroke-width: 2; } .line.first { stroke: var(--first); } .line.second { stroke: var(--second); }
    .line.third { stroke: var(--third); }
    .band.pale { fill: var(--first); opacity: .22; }
    .bar.first { fill: var(--first); } .bar.second { fill: var(--second); }
    .shade { fill: var(--shade); } .mark { stroke: var(--soft); stroke-dasharray: 4 4; }
    .route { fill: none; stroke: var(--first); opacity: .35; stroke-linecap: round; }
    .place { fill: var(--second); stroke: var(--card); stroke-width: 2; } svg .place-name { fill: var(--ink); font-size: 13px;
      paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
    .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(122px, 1fr)); gap: 10px; margin: 16px 0 0; }
    .tiles div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 10px 12px; }
    .tiles dt { color: var(--soft); font-size: 12.5px; } .tiles dd { margin: 2px 0; font-size: 21px; font-weight: 600; }
    small, .note { color: var(--soft); font-size: 13px; }
    .verdict { font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
    .scroll { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
    th { text-align: left; color: var(--soft); font-weight: 500; }
    th, td { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
    .numbers td:not(:first-child), .numbers th:not(:first-child) { text-align: right; padding: 4px 0 4px 10px; white-space: nowrap; }
    .columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 0 28px; }
    .columns h3 { margin-top: 4px; }
    pre { overflow-x: auto; background: var(--paper); border: 1px solid var(--rule); border-radius: 6px; padding: 10px 12px; font-size: 13px; }
    code { font-size: 12.5px; overflow-wrap: anywhere; }
    """
}
