"""What arrived against what was expected."""
