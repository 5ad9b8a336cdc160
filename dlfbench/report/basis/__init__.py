"""What sections of a report share: scores, summary, comparisons and the statistics behind them."""
