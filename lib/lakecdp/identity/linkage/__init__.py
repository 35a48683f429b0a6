"""Links between records that share no key, by probability."""
