"""What tests share: made-up devices and clocks, small models, programs run as a user runs them."""
