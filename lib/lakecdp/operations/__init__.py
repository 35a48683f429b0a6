"""Operations: what is measured of every day's data, and what is out of the ordinary."""
