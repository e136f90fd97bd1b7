"""What a user does, once, headless: generators that the command line, the desk and scripts drive."""
