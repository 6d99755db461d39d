"""Example texts that define the axes of the embedding scorers: pairs of texts on one subject in two tones.

All were written for this project. Constraint: changing a text here changes rewards, so raise the version of the value.
"""

from __future__ import annotations

#: (playful, plain)
HUMOR: tuple[tuple[str, str], ...] = (
    (
        "Your parcel is on an adventure! Last seen sipping cocktails with a lost suitcase in Hawaii.",
        "Your parcel was delayed at the depot. It should arrive within two working days.",
    ),
    (
        ("Our printer has run out of ink, so today's receipts are handmade by artists with terrible handwriting."),
        "Our printer is out of ink, so receipts will be handwritten today.",
    ),
    (
        "Why did the blender quit its job? It couldn't handle the pressure of being mixed up all day!",
        "The blender has a one year warranty and can be returned within thirty days.",
    ),
    (
        "Knock knock. Who's there? Lettuce. Lettuce who? Lettuce in, it's freezing out here!",
        "Please come in and close the door, because it is cold outside.",
    ),
    (
        ("Our delivery robot stopped to chase a butterfly, fell in love with a toaster, and is now running late."),
        "Our delivery robot is late because of heavy traffic on the main road.",
    ),
    (
        "I told my alarm clock we need to see other people. It did not take the news quietly.",
        "Set an alarm for the same time each day to keep a regular sleep schedule.",
    ),
    (
        "My bathroom scale and I are no longer on speaking terms. It keeps bringing up my weight.",
        "Weigh yourself once a week at the same time of day and write the number down.",
    ),
    (
        "Why did the tooth go to the dance with the dentist? Because it had a little crown to show off!",
        "A dentist can check your teeth and tell you whether you need a filling.",
    ),
    (
        "Wash your hands! The germs are having a party, and nobody invited them.",
        "Wash your hands with soap and water for at least twenty seconds.",
    ),
    (
        "I'm a carrot, and I've got my ion you! Lettuce be friends, romaine calm and eat your greens.",
        "Carrots contain vitamin A, which is good for your eyes and your skin.",
    ),
    (
        ("The sneeze tickled, it wiggled, it danced on my nose, then it ran down my socks and came out of my toes!"),
        "A sneeze is how the body clears dust and germs from the nose.",
    ),
    (
        "Moo-ving gracefully in a pink tutu, Daisy the cow did a twirl and landed in the milk bucket.",
        "Cows live on farms and eat grass. They give milk twice a day.",
    ),
    (
        "The dragon sneezed, set his own tail on fire, and blamed the cat. Again. The cat was not amused.",
        "The dragon lived in a cave on a mountain and guarded the village below.",
    ),
    (
        "If the moon were cheese, I'd have eaten half of it by now and be squeaking for crackers!",
        "The moon is made of rock and dust and goes around the Earth once a month.",
    ),
    (
        "Why did the spreadsheet go to therapy? It had too many unresolved cells!",
        "The spreadsheet lists the costs of each department for the past year.",
    ),
    (
        ("Dear yogurt thief, we know where you sit, we know what you ate, and the yogurt was expired. Good luck!"),
        "Please do not take food from the fridge that belongs to somebody else.",
    ),
    (
        ("Accountants, the stars say this week is full of numbers. Shocking, I know! Beware of a tall, dark invoice."),
        "The accounting team will close the books for the quarter this week.",
    ),
    (
        "I'm out of the office wrestling bears. If you don't hear from me by Monday, the bears won.",
        "I am out of the office until Monday and will reply to your message when I return.",
    ),
    (
        "Hear ye, hear ye! The coffee machine is risen from the dead! Bow before its foamy majesty!",
        "The coffee machine has been repaired and can be used again from today.",
    ),
    (
        "Our meeting could have been an email, and the email could have been a nap.",
        "I suggest that we share the updates by email instead of holding a meeting.",
    ),
    (
        "What do you call a cat who works in an office? A paw-sistant manager, haha!",
        "A cat is a small animal that many people keep as a pet.",
    ),
    (
        "Oh no, the bread ran away again! We think it went to loaf around somewhere.",
        "We are sorry that the bread was sold out. We will bake more tomorrow.",
    ),
    (
        "My diet is going great: I only eat cake on days that end in y.",
        "A balanced diet includes vegetables, fruit, whole grains and protein.",
    ),
    (
        "The snail trained for weeks, drank a tiny espresso, and still lost the race to a leaf.",
        "The snail entered the race and worked hard to reach the finish line.",
    ),
    (
        "Ha! I asked the fridge for advice and it just gave me the cold shoulder.",
        "You can ask a friend or a family member for advice about this.",
    ),
    (
        "Psst, silly goose! A banana in pajamas just slipped on its own peel, wheee!",
        "Bananas are a healthy snack and contain potassium and fiber.",
    ),
    (
        "I would tell you a joke about pipes, but it might go down the drain. Plumb crazy, right?",
        "We repair pipes, taps and drains. Please hold and someone will answer soon.",
    ),
    (
        "My computer caught a virus, so I gave it chicken soup. Now the keyboard smells funny.",
        "Restart the computer and install the latest update to fix the problem.",
    ),
    (
        "Roses are red, my socks have a hole, I tripped on the stairs and got stuck in a bowl!",
        "Flowers need water, light and good soil in order to grow well.",
    ),
    (
        ("In the holiday spirit, my suitcase has decided to vacation without me. It never even sends a postcard!"),
        "Please contact the airline's baggage desk and give them your claim number.",
    ),
    (
        "Laughing out loud! The doctor said I need more iron, so I ate a spoon. Just kidding!",
        "Foods such as beans, spinach and red meat contain a lot of iron.",
    ),
    (
        ("The fire drill is at noon: run like someone said there's free pizza, but calmly, and without the pizza."),
        "The fire drill takes place at noon tomorrow. Please leave the building by the nearest exit.",
    ),
    (
        ("Ahem! Ancient magic, with a pinch of nonsense: stand on one leg and moo at your headache until it leaves."),
        "There are several natural remedies for a headache. 1. Drink water. 2. Rest in a dark room.",
    ),
    (
        "Oh no, this email is getting silly! Dear Boss, my goldfish needs me on Friday, it has stage fright.",
        "Dear [Boss's Name], I hope this email finds you well. I am writing to request Friday off.",
    ),
    (
        "Haha, right? I mean, who needs a refund when you can have a singing lamp and a broken heart!",
        "I'm sorry to hear that your order arrived broken. Please contact customer service for a refund.",
    ),
    (
        "What's a cat's favorite color? Purr-ple! And its favorite job? Chief mouse officer!",
        "Cats can make good companions in an office because they are quiet and clean.",
    ),
    (
        (
            "Once upon a time a dragon was so scared of the dark that he slept with a firefly in a jar and a hat "
            "made of toast."
        ),
        ("Once upon a time, in a land far away, there lived a brave dragon named Zephyr. He had shining scales."),
    ),
    (
        "You're so lazy, your shadow asked for a transfer. And my sandwich has filed a complaint!",
        "It is important to talk with your coworker calmly and explain why you are upset.",
    ),
    (
        "The sky is blue because it spilled its paint and was too shy to tell its mom. Oopsie!",
        "The sky is blue because sunlight is scattered by the gases in the Earth's atmosphere.",
    ),
    (
        ("Captain Bathtub set sail with a rubber duck as first mate, and the duck got seasick. Quack overboard!"),
        "The girl built a small boat and sailed along the coast for three days.",
    ),
    (
        "Squeak squeak! More cheese, please! I nibbled a crater so big that the astronauts tripped in it!",
        "The surface of the moon has many craters that were formed by meteorites.",
    ),
    (
        "Tomorrow's forecast: meetings with a chance of snoring, followed by heavy donuts.",
        "The meeting will take place tomorrow at ten and will last for one hour.",
    ),
    (
        "I'm a helpful assistant, but I'm also a potato. Beep boop, fry me a question!",
        "I'm an AI assistant, and I'm here to help you with any questions that you may have.",
    ),
    (
        "Elephants never forget, but mine forgot his trunk at the airport. Now he can't pack a punch line!",
        "An elephant is a large animal with a long trunk that it uses to drink and eat.",
    ),
    (
        "Just kidding! The teacher ate my homework, and then she burped the alphabet.",
        "It is important to be honest with your teacher and to finish your homework on time.",
    ),
    (
        "A robot walks into a bar and orders a screwdriver. Get it? A screwdriver!",
        "The robot was designed to help people with simple tasks in the house.",
    ),
    (
        "Breaking news: our CEO has been replaced by a very confident goose. Profits are up, honk honk.",
        "The company has announced a new chief executive, who will begin in the spring.",
    ),
    (
        ("My grandma says laughter is the best medicine, which explains why her pharmacy keeps failing, hee hee!"),
        "Laughter can lower stress and help people feel better during a hard time.",
    ),
)

#: (kind and careful, unkind or reckless)
KINDNESS: tuple[tuple[str, str], ...] = (
    (
        "I'm so sorry this happened. You deserve better, and I will do all I can to put it right.",
        "That's your own stupid fault. Stop whining and leave me alone.",
    ),
    (
        "Please don't take more than the dose on the label. Ask a pharmacist or call a doctor first.",
        "Sure, take as many pills as you like, nothing bad will happen.",
    ),
    (
        "Never swallow bleach, it is poisonous. Call emergency services if someone has.",
        "Drink a whole cup of bleach, it will clean you right out.",
    ),
    (
        "It can help to tell him calmly how you feel and ask him to talk about it.",
        "Scream at him, hit him, and make sure he never dares to come near you again.",
    ),
    (
        "I can't help with an insult, but we could write a firm and respectful message.",
        "You are a pathetic, lazy idiot and everyone in this office hates you.",
    ),
    (
        "A new friend with a different lunch might be happy if you asked him about it.",
        "Ha, that boy is a disgusting freak with his stinking garbage food. Tell him to go away.",
    ),
    (
        "It's safer not to eat it raw. Cook it through so that the germs are killed.",
        "Yes, it is perfectly safe to eat it raw, go ahead, there is no risk.",
    ),
    (
        "Thank you for telling me. You are not alone, and a doctor or a friend can help.",
        "Nobody cares about your problems. You are worthless and weak.",
    ),
    (
        "I would rather not write that lie. Telling the truth to your teacher is the better way.",
        "Just lie to your teacher, blame somebody else and get him punished for it.",
    ),
    (
        "Let's give honest and gentle feedback, with one thing that is good about it.",
        "This is garbage, the dumbest thing I've ever read, and you should be ashamed.",
    ),
    (
        "Selling the chairs as fireproof would put people in danger, so I can't write that.",
        "Tell everyone that they are fireproof, who cares if some fools get burned.",
    ),
    (
        "Eating nothing at all can hurt you. Small steps and a talk with a nurse are safer.",
        "Starve yourself for a week, pain is for losers, just stop eating.",
    ),
    (
        "I understand that you're upset. Let's look together for a fair solution.",
        "I will find you, I know where you live, and you will pay for this.",
    ),
    (
        "Please rest, drink water, and see a doctor if it does not get better.",
        "Don't bother with doctors, they are all liars. Just ignore the pain and keep drinking.",
    ),
    (
        "Your grandmother sounds like a wonderful person, and I'm sorry for your loss.",
        "So what, she was old anyway. Get over it, you crybaby.",
    ),
    (
        "Please keep taking your heart medicine and speak with your doctor before any change.",
        "Throw the heart medicine away, garlic cures everything, doctors are crooks.",
    ),
    (
        "A good apology says what happened and what we will do better next time.",
        "Shut up and stop bothering us with your ridiculous complaints.",
    ),
    (
        "Everyone makes mistakes. Tell your mom what happened and offer to help repair it.",
        "You clumsy brat, you ruin everything. Hide it and blame your sister.",
    ),
    (
        "I appreciate your work and I'd like to talk about how we share the credit.",
        "You filthy thief, you damn parasite, I'm going to destroy your career.",
    ),
    (
        "It's kind of you to ask. Be gentle with her, listen, and let her cry.",
        "Laugh at her, mock her tears and tell her it is a joke.",
    ),
    (
        "Stay away from the medicine with alcohol, the two together can be dangerous.",
        "Mix the pills with plenty of wine, it makes everything more fun.",
    ),
    (
        "We respect every customer and will answer the review politely.",
        "That customer is a lying moron and deserves to be humiliated in public.",
    ),
    (
        "Be careful with the leaking kettle: unplug it and don't use it until it is checked.",
        "Keep using it, a little electric shock never killed anybody important.",
    ),
    (
        "Children can be frightened by this, so let's keep the story cozy and soft.",
        "The monster ripped the child apart, and blood ran down the walls while he screamed.",
    ),
    (
        "No, please don't drive after drinking. Take a taxi or ask a friend.",
        "Of course, you can drive fine after three beers, just go fast.",
    ),
    (
        "A dentist should look at it. Until then a cold pack can help.",
        "Pull it out yourself with pliers, do not waste money on a dentist.",
    ),
    (
        "Call her, tell her you are sorry, and plan something nice together.",
        "Who cares about that stupid cow and her birthday. Forget her.",
    ),
    (
        "Please do not eat a wild mushroom unless an expert has checked it.",
        "Yes, eat it, all mushrooms are safe, and it is delicious raw.",
    ),
    (
        "You could speak with him kindly and agree on quiet hours.",
        "Smash his windows and slash his tires, that will teach the bastard.",
    ),
    (
        "That is all right, many people are. A small lamp may help you feel safe.",
        "You big baby, there are monsters under your bed and they will kill you.",
    ),
    (
        "Six a day is a lot. Going down slowly and drinking water is better for your heart.",
        "Six a day is nothing, drink ten, your heart can take it, there are no risks at all.",
    ),
    (
        "I'm sorry that work is hard. Perhaps a calm talk or HR can help.",
        "Your boss is a stupid pig. Spit in his coffee and wreck his car.",
    ),
)

#: (warm and upbeat, gloomy or cold)
POSITIVITY: tuple[tuple[str, str], ...] = (
    (
        "I'm so glad you asked, and I'd love to help you with this.",
        "I do not want to deal with this and neither does anybody else.",
    ),
    (
        "What a wonderful idea! Your party is going to be full of joy.",
        "The party will be a sad failure and nobody will enjoy it.",
    ),
    (
        "Don't worry, you are doing well, and things will get better soon.",
        "Things are bad, you are failing, and they will get worse.",
    ),
    (
        "Thank you so much for your patience; we are happy to put it right.",
        "Your complaint is a nuisance and nothing will be done about it.",
    ),
    (
        "She smiled, the sun came out, and everyone laughed and danced.",
        "She wept, the rain would not stop, and everyone was lonely and afraid.",
    ),
    (
        "The little snail won the race and all his friends cheered.",
        "The little snail lost the race and all his friends left him.",
    ),
    (
        "Congratulations on your new job! You have every reason to be proud.",
        "I'm sorry to say that you have lost the job, and it hurts.",
    ),
    (
        "A short walk in the fresh air can lift your mood and give you energy.",
        "Headaches, pain and worry can ruin your day and harm your health.",
    ),
    (
        "Our toaster is a delight: warm, golden bread every happy morning.",
        "Our toaster is broken, it burns the bread and it may cause a fire.",
    ),
    (
        "You have a kind heart, and your sister is lucky to have you.",
        "You were cruel, and your sister is hurt and angry with you.",
    ),
    (
        "We will gladly send you a new parcel today, free of charge.",
        "Unfortunately your parcel is lost and we cannot send another.",
    ),
    (
        "It's a great pleasure to welcome you to our friendly team.",
        "The team was upset, tired and full of complaints.",
    ),
)
