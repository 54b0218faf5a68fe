"""The built-in small data sets, a module each: ``make`` writes one, ``COUNTS`` are its images."""
